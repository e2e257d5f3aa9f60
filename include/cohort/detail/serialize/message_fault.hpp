// SPDX-License-Identifier: MIT
// Why a type cannot be a message, found at compile time and said in plain words (layer 1).
#pragma once

#include <cohort/detail/serialize/shape.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

namespace cohort::detail {

enum class Fault {
    none,
    pointer,
    owner,
    view,
    reference,
    base,
    members,
    union_type,
    function,
    not_default,
    mutable_self,
    opaque,
};

template <class T>
inline constexpr bool is_view = false;
template <class C, class Traits>
inline constexpr bool is_view<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t N>
inline constexpr bool is_view<std::span<T, N>> = true;
template <class T>
inline constexpr bool is_view<std::reference_wrapper<T>> = true;

template <class T>
inline constexpr bool is_owner = false;
template <class T>
inline constexpr bool is_owner<std::shared_ptr<T>> = true;
template <class T>
inline constexpr bool is_owner<std::weak_ptr<T>> = true;
template <class T, class D>
inline constexpr bool is_owner<std::unique_ptr<T, D>> = true;

template <class T>
inline constexpr bool is_function = std::is_function_v<T> || std::is_member_function_pointer_v<T>;
template <class R, class... A>
inline constexpr bool is_function<R (*)(A...)> = true;
template <class R, class... A>
inline constexpr bool is_function<std::function<R(A...)>> = true;

/// What is wrong with a type of no supported kind.
template <class T>
consteval Fault unsupported_fault() {
    if (std::is_reference_v<T> || std::is_const_v<T>) return Fault::reference;
    if (is_function<T>) return Fault::function;
    if (std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>) return Fault::pointer;
    if (is_owner<T>) return Fault::owner;
    if (is_view<T>) return Fault::view;
    if (std::is_union_v<T>) return Fault::union_type;
    if constexpr (std::is_class_v<T>) {
        if constexpr (HasSerialize<T, Encoder>) return Fault::mutable_self;
        if constexpr (PlainAggregate<T>) {
            if constexpr (HasBase<T>) return Fault::base;
            return member_count<T>() == unknown_count ? Fault::reference : Fault::members;
        }
    }
    return Fault::opaque;
}

/// What was found wrong, and the type it was found at.
template <Fault F, class T>
struct Found {
    static constexpr Fault fault = F;
    using Culprit = T;
};

using Faultless = Found<Fault::none, void>;

/// Whether decoding default-constructs values of the parts' types.
constexpr bool makes_parts(Kind kind) {
    return kind == Kind::sequence || kind == Kind::keyed || kind == Kind::optional || kind == Kind::pointer ||
           kind == Kind::variant;
}

template <class T, class... Path>
consteval auto find_fault();

template <bool Made, class... Path>
consteval auto find_part_fault(TypeList<>) {
    return Faultless{};
}

template <bool Made, class... Path, class First, class... Rest>
consteval auto find_part_fault(TypeList<First, Rest...>) {
    using Inner = decltype(find_fault<First, Path...>());
    if constexpr (Inner::fault != Fault::none) {
        return Inner{};
    } else if constexpr (Made && !std::is_default_constructible_v<First>) {
        return Found<Fault::not_default, First>{};
    } else {
        return find_part_fault<Made, Path...>(TypeList<Rest...>{});
    }
}

/// The first fault in `T` or its parts. `Path` is where the search came from: a type that contains itself is not
/// searched again.
template <class T, class... Path>
consteval auto find_fault() {
    if constexpr ((std::is_same_v<T, Path> || ...)) {
        return Faultless{};
    } else if constexpr (kind_of<T> == Kind::unsupported) {
        return Found<unsupported_fault<T>(), T>{};
    } else {
        using Inner = decltype(find_part_fault<makes_parts(kind_of<T>), T, Path...>(typename Shape<T>::Parts{}));
        if constexpr (Inner::fault == Fault::none && kind_of<T> == Kind::aggregate && !std::is_move_assignable_v<T>) {
            return Found<Fault::reference, T>{};
        } else {
            return Inner{};
        }
    }
}

template <class T>
using FaultOf = decltype(find_part_fault<true>(TypeList<T>{}));

/// Fails to compile, with the words for the fault, unless there is none. `Culprit` is the type to look at, which is
/// `Message` itself or somewhere within it.
template <Fault F, class Culprit, class Message>
consteval bool explain_fault() {
    static_assert(
        F != Fault::pointer,
        "cohort: this type cannot be a message: it holds a raw pointer, which means nothing in another process. "
        "Hold the value itself, a std::optional or a std::unique_ptr. See cohort/serialize.hpp.");
    static_assert(
        F != Fault::owner,
        "cohort: this type cannot be a message: of the smart pointers only std::unique_ptr<T>, with its default "
        "deleter and not to an array, can be sent. Hold that, the value itself or a std::vector. "
        "See cohort/serialize.hpp.");
    static_assert(F != Fault::view,
                  "cohort: this type cannot be a message: it holds a view or reference (std::string_view, std::span, "
                  "std::reference_wrapper) of memory that the receiver does not have. Hold a std::string or a "
                  "std::vector. See cohort/serialize.hpp.");
    static_assert(F != Fault::reference,
                  "cohort: this type cannot be a message: a message and its members must be assignable, so none can be "
                  "const or a reference. Hold a plain value. See cohort/serialize.hpp.");
    static_assert(
        F != Fault::base,
        "cohort: this type cannot be a message: an aggregate with a base class cannot be taken apart. Make the "
        "base a member, or give the type a serialize(archive, self) function. See cohort/serialize.hpp.");
    static_assert(F != Fault::members,
                  "cohort: this type cannot be a message: an aggregate may have at most 32 members. Group some in a "
                  "struct, or give the type a serialize(archive, self) function. See cohort/serialize.hpp.");
    static_assert(F != Fault::union_type,
                  "cohort: this type cannot be a message: nobody knows which member of a union is the valid one. Use "
                  "std::variant. See cohort/serialize.hpp.");
    static_assert(
        F != Fault::function,
        "cohort: this type cannot be a message: a function or callback cannot be sent to another process. Send "
        "the data it works on, or an enum that says what to do. See cohort/serialize.hpp.");
    static_assert(
        F != Fault::not_default,
        "cohort: this type cannot be a message: it must be default-constructible, because decoding makes a value "
        "and then fills it. Give it a default constructor. See cohort/serialize.hpp.");
    static_assert(
        F != Fault::mutable_self,
        "cohort: this type cannot be a message: its serialize function must accept a const object as well, for "
        "encoding. Declare it `static void serialize(auto& archive, auto& self)`. See cohort/serialize.hpp.");
    static_assert(
        F != Fault::opaque,
        "cohort: this type cannot be a message: it is neither an aggregate nor a type that cohort knows. If it is "
        "yours, make its members public, or give it a function that names them: "
        "`static void serialize(auto& archive, auto& self) { archive(self.a_, self.b_); }`. "
        "See cohort/serialize.hpp.");
    return F == Fault::none;
}

/// Whether `T` can be a message; where it cannot, compiling fails with the reason.
template <class T>
consteval bool require_message() {
    using Result = FaultOf<T>;
    return explain_fault<Result::fault, typename Result::Culprit, T>();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The members of an aggregate, counted and visited without any code of its author (layer 1).
#pragma once

#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>

namespace cohort::detail {

template <class... T>
struct TypeList {
    static constexpr std::size_t size = sizeof...(T);
};

/// The largest number of members that visit_members() takes apart.
inline constexpr std::size_t max_members = 32;

/// member_count() of a type whose members cannot be listed: one is a reference, or cannot be initialized alone.
inline constexpr std::size_t unknown_count = static_cast<std::size_t>(-1);

/// Initializes any one member of `Owner`. Used only in unevaluated operands, never called.
template <class Owner>
struct AnyMember {
    template <class M>
        requires(!std::is_same_v<M, Owner>)
    operator M() const noexcept {
        std::terminate();
    }
};

/// Initializes nothing but a base class of `Owner`.
template <class Owner>
struct AnyBase {
    template <class B>
        requires(std::is_base_of_v<B, Owner> && !std::is_same_v<B, Owner>)
    operator B() const noexcept {
        std::terminate();
    }
};

/// Initializes only what takes everything, as std::any does.
struct Anything {};

template <class T>
concept HasBase = requires { T{AnyBase<T>{}}; } && !requires { T{Anything{}}; };

/// Whether `Before` initializers, then `{}`, then `After` initializers are accepted.
template <class T, std::size_t... Before, std::size_t... After>
consteval bool accepts_braces(std::index_sequence<Before...>, std::index_sequence<After...>) {
    return requires {
        T{(static_cast<void>(Before), AnyMember<T>{})..., {}, (static_cast<void>(After), AnyMember<T>{})...};
    };
}

template <class T, std::size_t... I>
consteval bool accepts(std::index_sequence<I...>) {
    return requires { T{(static_cast<void>(I), AnyMember<T>{})...}; };
}

template <class T, std::size_t N>
inline constexpr bool accepts_count = accepts<T>(std::make_index_sequence<N>{});

/// The largest accepted count in [Low, High), where Low is accepted and High is not.
template <class T, std::size_t Low, std::size_t High>
consteval std::size_t search_count() {
    if constexpr (High - Low == 1) {
        return Low;
    } else {
        constexpr std::size_t middle = Low + (High - Low) / 2;
        if constexpr (accepts_count<T, middle>) {
            return search_count<T, middle, High>();
        } else {
            return search_count<T, Low, middle>();
        }
    }
}

/// The largest accepted count, where Low is accepted.
template <class T, std::size_t Low, std::size_t Step = 8>
consteval std::size_t initializer_count() {
    if constexpr (accepts_count<T, Low + Step>) {
        return initializer_count<T, Low + Step, Step * 2>();
    } else {
        return search_count<T, Low, Low + Step>();
    }
}

/// The smallest accepted count; it is not 0 when a member cannot be left out. Looks no further than 2 * max_members.
template <class T, std::size_t N = 0>
consteval std::size_t least_count() {
    if constexpr (accepts_count<T, N>) {
        return N;
    } else if constexpr (N < 2 * max_members) {
        return least_count<T, N + 1>();
    } else {
        return unknown_count;
    }
}

/// Whether the member at initializer `At` can take at most `Extent` of the `Total` initializers.
template <class T, std::size_t Total, std::size_t At, std::size_t Extent>
inline constexpr bool extent_suffices =
    accepts_braces<T>(std::make_index_sequence<At>{}, std::make_index_sequence<Total - At - Extent>{});

/// The extent of an array within [Low, High], where every later member can be left out.
template <class T, std::size_t Total, std::size_t At, std::size_t Low, std::size_t High>
consteval std::size_t search_extent() {
    if constexpr (Low == High) {
        return Low;
    } else {
        constexpr std::size_t middle = Low + (High - Low) / 2;
        if constexpr (extent_suffices<T, Total, At, middle>) {
            return search_extent<T, Total, At, Low, middle>();
        } else {
            return search_extent<T, Total, At, middle + 1, High>();
        }
    }
}

/// How many of the `Total` initializers the member at initializer `At` takes. Only an array in the style of C takes
/// more than one, as the braces around its elements may be left out; `{}` in its place then leaves room for that many
/// fewer. A member that `{}` does not initialize is a class, and takes one.
template <class T, std::size_t Total, std::size_t At, std::size_t Extent = 1>
consteval std::size_t extent_at() {
    if constexpr (extent_suffices<T, Total, At, Extent>) {
        return Extent;
    } else if constexpr (Extent == 1 && extent_suffices<T, Total, At, Total - At>) {
        return search_extent<T, Total, At, 2, Total - At>();
    } else if constexpr (Extent < Total - At && Extent < 2 * max_members) {
        return extent_at<T, Total, At, Extent + 1>();
    } else {
        return 1;
    }
}

template <class T, std::size_t Total, std::size_t At = 0, std::size_t Members = 0>
consteval std::size_t count_members() {
    if constexpr (At == Total || Members > max_members) {
        return Members;
    } else {
        return count_members<T, Total, At + extent_at<T, Total, At>(), Members + 1>();
    }
}

/// The number of members of the aggregate `T`, which has no base class; max_members + 1 stands for all larger numbers.
template <class T>
consteval std::size_t member_count() {
    if constexpr (std::is_empty_v<T>) {
        return 0;
    } else if constexpr (constexpr std::size_t least = least_count<T>(); least == unknown_count) {
        return unknown_count;
    } else {
        return count_members<T, initializer_count<T, least>()>();
    }
}

// A structured binding names its members one by one, so each count has its own line.
// clang-format off

/// Calls `visit` with all members of `value`, in order, as lvalues, and returns what it returns.
template <class T, class AcceptedPeer>
constexpr decltype(auto) visit_members(T& value, AcceptedPeer&& visit) {
    constexpr std::size_t count = member_count<std::remove_const_t<T>>();
    static_assert(count <= max_members);
    if constexpr (count == 0) {
        static_cast<void>(value);
        return visit();
    } else if constexpr (count == 1) {
        auto& [m1] = value;
        return visit(m1);
    } else if constexpr (count == 2) {
        auto& [m1, m2] = value;
        return visit(m1, m2);
    } else if constexpr (count == 3) {
        auto& [m1, m2, m3] = value;
        return visit(m1, m2, m3);
    } else if constexpr (count == 4) {
        auto& [m1, m2, m3, m4] = value;
        return visit(m1, m2, m3, m4);
    } else if constexpr (count == 5) {
        auto& [m1, m2, m3, m4, m5] = value;
        return visit(m1, m2, m3, m4, m5);
    } else if constexpr (count == 6) {
        auto& [m1, m2, m3, m4, m5, m6] = value;
        return visit(m1, m2, m3, m4, m5, m6);
    } else if constexpr (count == 7) {
        auto& [m1, m2, m3, m4, m5, m6, m7] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7);
    } else if constexpr (count == 8) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8);
    } else if constexpr (count == 9) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9);
    } else if constexpr (count == 10) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10);
    } else if constexpr (count == 11) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11);
    } else if constexpr (count == 12) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12);
    } else if constexpr (count == 13) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13);
    } else if constexpr (count == 14) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14);
    } else if constexpr (count == 15) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15);
    } else if constexpr (count == 16) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16);
    } else if constexpr (count == 17) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17);
    } else if constexpr (count == 18) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18);
    } else if constexpr (count == 19) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19);
    } else if constexpr (count == 20) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20);
    } else if constexpr (count == 21) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20,
               m21] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21);
    } else if constexpr (count == 22) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
               m22] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22);
    } else if constexpr (count == 23) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23);
    } else if constexpr (count == 24) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24);
    } else if constexpr (count == 25) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24, m25] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24, m25);
    } else if constexpr (count == 26) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24, m25, m26] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24, m25, m26);
    } else if constexpr (count == 27) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24, m25, m26, m27] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24, m25, m26, m27);
    } else if constexpr (count == 28) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24, m25, m26, m27, m28] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24, m25, m26, m27, m28);
    } else if constexpr (count == 29) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24, m25, m26, m27, m28, m29] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24, m25, m26, m27, m28, m29);
    } else if constexpr (count == 30) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24, m25, m26, m27, m28, m29, m30] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24, m25, m26, m27, m28, m29, m30);
    } else if constexpr (count == 31) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24, m25, m26, m27, m28, m29, m30, m31] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24, m25, m26, m27, m28, m29, m30, m31);
    } else if constexpr (count == 32) {
        auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21, m22,
               m23, m24, m25, m26, m27, m28, m29, m30, m31, m32] = value;
        return visit(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17, m18, m19, m20, m21,
                     m22, m23, m24, m25, m26, m27, m28, m29, m30, m31, m32);
    }
}

// clang-format on

/// The types of the members of `T`, const and array extents kept. Only named, never called.
template <class T>
auto list_members(T& value) {
    return visit_members(value,
                         [](auto&... member) { return TypeList<std::remove_reference_t<decltype(member)>...>{}; });
}

template <class T>
using MembersOf = decltype(list_members(std::declval<T&>()));

} // namespace cohort::detail

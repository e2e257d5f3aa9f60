// SPDX-License-Identifier: MIT
// What a type is made of, as far as messages are concerned: its kind and its parts (layer 1).
#pragma once

#include <cohort/detail/serialize/reflect.hpp>
#include <cohort/detail/serialize/type_name.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ratio>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace cohort::detail {

class Encoder;
class Decoder;

template <class T, class Archive>
concept HasMemberSerialize = requires(T& self, Archive& archive) { self.serialize(archive, self); };

template <class T, class Archive>
concept HasFreeSerialize = requires(T& self, Archive& archive) { serialize(archive, self); };

template <class T, class Archive>
concept HasSerialize = HasMemberSerialize<T, Archive> || HasFreeSerialize<T, Archive>;

/// A class that says itself, by one `serialize(archive, self)`, which of its members make up a message.
template <class T>
concept CustomSerialized = HasSerialize<const T, Encoder> && HasSerialize<T, Decoder>;

/// Calls the serialize function of a class.
template <class Archive, class T>
void call_serialize(Archive& archive, T& self) {
    if constexpr (HasMemberSerialize<T, Archive>) {
        self.serialize(archive, self);
    } else {
        serialize(archive, self);
    }
}

/// A class of the standard library. The ones below are recognised by that and by their members, since to name them
/// takes their headers, thousands of lines in every program, and most programs have none of them in a message.
template <class T>
concept Standard = type_name<T>().starts_with("std::");

/// std::deque, std::list
template <class T>
concept StandardSequence = std::is_class_v<T> && requires(T& list) {
    list.emplace_front();
    list.resize(list.size());
} && Standard<T>;

/// The sets and maps, as a part of which a mapped_type may be missing.
template <class T>
concept StandardKeyed = std::is_class_v<T> && requires {
    typename T::key_type;
    typename T::value_type;
    typename T::allocator_type;
} && Standard<T>;

template <class T>
concept StandardVariant = requires(const T& variant) { variant.valueless_by_exception(); } && Standard<T>;

template <class T>
concept StandardBitset = requires(const T& bits) { bits.to_ullong(); } && Standard<T>;

/// std::filesystem::path
template <class T>
concept PathLike = requires(const T& path) {
    { path.native() } -> std::same_as<const typename T::string_type&>;
    { path.lexically_normal() } -> std::same_as<T>;
    { T::preferred_separator } -> std::convertible_to<typename T::value_type>;
};

template <class T>
concept PlainAggregate = std::is_class_v<T> && std::is_aggregate_v<T>;

template <class T>
concept Reflectable = PlainAggregate<T> && !HasBase<T> && member_count<T>() <= max_members;

/// How a type is encoded. The order is part of the schema hash.
enum class Kind : std::uint8_t {
    unsupported,
    boolean,
    integer,
    floating,
    enumeration,
    text,
    sequence,
    bits,
    array,
    keyed,
    optional,
    pointer,
    variant,
    tuple,
    aggregate,
    duration,
    time_point,
    path,
    bitset,
    custom,
};

/// A kind, what else tells two types of this kind apart, and the types of the parts.
template <Kind K, std::uint64_t Extra = 0, class... P>
struct ShapeOf {
    static constexpr Kind kind = K;
    static constexpr std::uint64_t extra = Extra;
    using Parts = TypeList<P...>;
};

consteval std::uint64_t hash_text(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325; // FNV-1a
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

template <class T>
concept Character = std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> ||
                    std::same_as<T, char16_t> || std::same_as<T, char32_t>;

template <class T>
inline constexpr std::uint64_t integer_traits =
    sizeof(T) | (std::is_signed_v<T> ? 0x100 : 0) | (Character<T> ? 0x200 : 0);

template <class T, class... M>
consteval ShapeOf<Kind::aggregate, 0, M...> aggregate_shape(TypeList<M...>) {
    return {};
}

/// What distinguishes the containers with keys.
enum Keyed : std::uint64_t { ordered = 1, multiple = 2 };

template <class T>
consteval auto keyed_shape() {
    using Inserted = decltype(std::declval<T&>().insert(std::declval<typename T::value_type>()));
    constexpr std::uint64_t none = 0;
    constexpr std::uint64_t order = requires { typename T::key_compare; } ? std::uint64_t{ordered} : none;
    constexpr std::uint64_t extra =
        order | (std::same_as<Inserted, typename T::iterator> ? std::uint64_t{multiple} : none);
    if constexpr (requires { typename T::mapped_type; }) {
        return ShapeOf<Kind::keyed, extra, typename T::key_type, typename T::mapped_type>{};
    } else {
        return ShapeOf<Kind::keyed, extra, typename T::key_type>{};
    }
}

/// The shape of a type that has none of its own below. A serialize function comes before reflection.
template <class T>
consteval auto basic_shape() {
    if constexpr (std::is_const_v<T> || std::is_volatile_v<T>) {
        return ShapeOf<Kind::unsupported>{};
    } else if constexpr (std::same_as<T, bool>) {
        return ShapeOf<Kind::boolean>{};
    } else if constexpr (std::integral<T>) {
        return ShapeOf<Kind::integer, integer_traits<T>>{};
    } else if constexpr (std::floating_point<T>) {
        return ShapeOf<Kind::floating, sizeof(T)>{};
    } else if constexpr (std::is_enum_v<T>) {
        return ShapeOf<Kind::enumeration, 0, std::underlying_type_t<T>>{};
    } else if constexpr (std::is_bounded_array_v<T>) {
        return ShapeOf<Kind::array, std::extent_v<T>, std::remove_extent_t<T>>{};
    } else if constexpr (StandardSequence<T>) {
        return ShapeOf<Kind::sequence, 0, typename T::value_type>{};
    } else if constexpr (StandardKeyed<T>) {
        return keyed_shape<T>();
    } else if constexpr (CustomSerialized<T>) {
        return ShapeOf<Kind::custom, hash_text(type_name<T>())>{};
    } else if constexpr (PathLike<T>) {
        return ShapeOf<Kind::path>{};
    } else if constexpr (Reflectable<T>) {
        return aggregate_shape<T>(MembersOf<T>{});
    } else {
        return ShapeOf<Kind::unsupported>{};
    }
}

template <class T>
struct Shape : decltype(basic_shape<T>()) {};

template <class C, class Traits, class A>
struct Shape<std::basic_string<C, Traits, A>> : ShapeOf<Kind::text, 0, C> {};
template <class T, class A>
struct Shape<std::vector<T, A>> : ShapeOf<Kind::sequence, 0, T> {};
template <class A>
struct Shape<std::vector<bool, A>> : ShapeOf<Kind::bits> {};
template <class T, std::size_t N>
struct Shape<std::array<T, N>> : ShapeOf<Kind::array, N, T> {};

template <class T>
struct Shape<std::optional<T>> : ShapeOf<Kind::optional, 0, T> {};
template <class T>
    requires(!std::is_array_v<T>)
struct Shape<std::unique_ptr<T>> : ShapeOf<Kind::pointer, 0, T> {};
template <template <class...> class Variant, class... T>
    requires(StandardVariant<Variant<T...>> && sizeof...(T) <= 255)
struct Shape<Variant<T...>> : ShapeOf<Kind::variant, 0, T...> {};
template <class... T>
struct Shape<std::tuple<T...>> : ShapeOf<Kind::tuple, 0, T...> {};
template <class A, class B>
struct Shape<std::pair<A, B>> : ShapeOf<Kind::tuple, 0, A, B> {};

template <class Rep, std::intmax_t Num, std::intmax_t Den>
struct Shape<std::chrono::duration<Rep, std::ratio<Num, Den>>>
    : ShapeOf<Kind::duration, static_cast<std::uint64_t>(Num) * 0x100000001b3 + static_cast<std::uint64_t>(Den), Rep> {
};
template <class Clock, class D>
struct Shape<std::chrono::time_point<Clock, D>> : ShapeOf<Kind::time_point, hash_text(type_name<Clock>()), D> {};
template <template <std::size_t> class Bitset, std::size_t N>
    requires StandardBitset<Bitset<N>>
struct Shape<Bitset<N>> : ShapeOf<Kind::bitset, N> {};

template <class T>
inline constexpr Kind kind_of = Shape<T>::kind;

template <class T>
consteval bool is_bitwise();

template <class T, class... P>
consteval bool packs_bitwise(TypeList<P...>) {
    return sizeof...(P) != 0 && std::is_trivially_copyable_v<T> && (is_bitwise<P>() && ...) &&
           (sizeof(P) + ... + 0) == sizeof(T);
}

template <class T, class Element>
consteval bool array_bitwise(TypeList<Element>) {
    return is_bitwise<Element>() && sizeof(T) == sizeof(Element) * Shape<T>::extra;
}

/// Whether the encoding is the object's own bytes and any bytes are a valid object: such values are copied at once.
template <class T>
consteval bool is_bitwise() {
    constexpr Kind kind = kind_of<T>;
    if constexpr (std::endian::native != std::endian::little || std::same_as<T, long double>) {
        return false;
    } else if constexpr (kind == Kind::enumeration) {
        return is_bitwise<std::underlying_type_t<T>>();
    } else if constexpr (kind == Kind::array) {
        return array_bitwise<T>(typename Shape<T>::Parts{});
    } else if constexpr (kind == Kind::aggregate || kind == Kind::duration || kind == Kind::time_point) {
        return packs_bitwise<T>(typename Shape<T>::Parts{});
    } else {
        return kind == Kind::integer || kind == Kind::floating;
    }
}

template <class T>
concept Bitwise = is_bitwise<T>();

/// Whether nothing in a value of this type can nest, so that it does not count as a level of depth.
template <class T>
inline constexpr bool is_leaf =
    Bitwise<T> || kind_of<T> == Kind::boolean || kind_of<T> == Kind::floating || kind_of<T> == Kind::enumeration ||
    kind_of<T> == Kind::text || kind_of<T> == Kind::bits || kind_of<T> == Kind::path || kind_of<T> == Kind::bitset;

template <class... P>
consteval bool all_leaves(TypeList<P...>) {
    return (is_leaf<P> && ...);
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// How values without a length of their own are encoded, kind by kind (layer 1).
#pragma once

#include <cohort/detail/serialize/archive.hpp>
#include <cohort/detail/serialize/message_fault.hpp>
#include <cohort/detail/serialize/shape.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cohort::detail {

/// For each kind: `min_size`, the fewest bytes a value takes; `encode`; and `decode`, false when the bytes are wrong.
template <class T, Kind = kind_of<T>>
struct Codec;

template <class T>
void encode_value(Encoder& out, const T& value) {
    Codec<T>::encode(out, value);
}

template <class T>
bool decode_value(Decoder& in, T& value) {
    return Codec<T>::decode(in, value);
}

template <class... P>
consteval std::size_t sum_min_size(TypeList<P...>) {
    return (Codec<P>::min_size + ... + 0);
}

template <class T>
struct Codec<T, Kind::boolean> {
    static constexpr std::size_t min_size = 1;

    static void encode(Encoder& out, bool value) { out.put(static_cast<std::uint8_t>(value)); }

    static bool decode(Decoder& in, bool& value) {
        std::uint8_t byte = 0;
        if (!in.get(byte)) return false;
        value = byte == 1;
        return byte <= 1 || in.reject();
    }
};

template <class T>
struct Codec<T, Kind::integer> {
    static constexpr std::size_t min_size = scalar_size<T>;

    static void encode(Encoder& out, T value) { out.put(value); }
    static bool decode(Decoder& in, T& value) { return in.get(value); }
};

template <class T>
struct Codec<T, Kind::floating> : Codec<T, Kind::integer> {};

template <class T>
struct Codec<T, Kind::enumeration> {
    using Raw = std::underlying_type_t<T>;
    static constexpr std::size_t min_size = sizeof(Raw);

    static void encode(Encoder& out, T value) { encode_value(out, static_cast<Raw>(value)); }

    static bool decode(Decoder& in, T& value) {
        Raw raw{};
        if (!decode_value(in, raw)) return false;
        value = static_cast<T>(raw);
        return true;
    }
};

template <class T>
struct Codec<T, Kind::array> {
    using Element = std::remove_reference_t<decltype(*std::begin(std::declval<T&>()))>;
    static constexpr std::size_t min_size = Codec<Element>::min_size * Shape<T>::extra;

    static void encode(Encoder& out, const T& value) {
        if constexpr (Bitwise<T>) {
            std::memcpy(out.take(sizeof(T)), &value, sizeof(T));
        } else {
            for (const Element& element : value) encode_value(out, element);
        }
    }

    static bool decode(Decoder& in, T& value) {
        if constexpr (Bitwise<T>) {
            const std::byte* const from = in.take(sizeof(T));
            if (from == nullptr) return false;
            std::memcpy(&value, from, sizeof(T));
        } else {
            for (Element& element : value) {
                if (!decode_value(in, element)) return false;
            }
        }
        return true;
    }
};

template <class T>
struct Codec<T, Kind::aggregate> {
    static constexpr std::size_t min_size = sum_min_size(typename Shape<T>::Parts{});

    static void encode(Encoder& out, const T& value) {
        if constexpr (Bitwise<T>) {
            std::memcpy(out.take(sizeof(T)), &value, sizeof(T));
        } else {
            visit_members(value, [&out](const auto&... member) { (encode_value(out, member), ...); });
        }
    }

    static bool decode(Decoder& in, T& value) {
        if constexpr (Bitwise<T>) {
            const std::byte* const from = in.take(sizeof(T));
            if (from == nullptr) return false;
            std::memcpy(&value, from, sizeof(T));
            return true;
        } else {
            return visit_members(value, [&in](auto&... member) { return (decode_value(in, member) && ...); });
        }
    }
};

template <class T>
struct Codec<T, Kind::tuple> {
    static constexpr std::size_t min_size = sum_min_size(typename Shape<T>::Parts{});

    static void encode(Encoder& out, const T& value) {
        std::apply([&out](const auto&... element) { (encode_value(out, element), ...); }, value);
    }

    static bool decode(Decoder& in, T& value) {
        return std::apply([&in](auto&... element) { return (decode_value(in, element) && ...); }, value);
    }
};

template <class T>
struct Codec<T, Kind::duration> {
    static constexpr std::size_t min_size = Codec<typename T::rep>::min_size;

    static void encode(Encoder& out, const T& value) { encode_value(out, value.count()); }

    static bool decode(Decoder& in, T& value) {
        typename T::rep count{};
        if (!decode_value(in, count)) return false;
        value = T{count};
        return true;
    }
};

template <class T>
struct Codec<T, Kind::time_point> {
    static constexpr std::size_t min_size = Codec<typename T::duration>::min_size;

    static void encode(Encoder& out, const T& value) { encode_value(out, value.time_since_epoch()); }

    static bool decode(Decoder& in, T& value) {
        typename T::duration since{};
        if (!decode_value(in, since)) return false;
        value = T{since};
        return true;
    }
};

template <class T>
struct Codec<T, Kind::bitset> {
    static constexpr std::size_t bits = Shape<T>::extra;
    static constexpr std::size_t min_size = (bits + 7) / 8;

    static void encode(Encoder& out, const T& value) {
        std::byte* const to = out.take(min_size);
        for (std::size_t i = 0; i != min_size; ++i) to[i] = std::byte{0};
        for (std::size_t i = 0; i != bits; ++i) to[i / 8] |= std::byte{value[i]} << (i % 8);
    }

    static bool decode(Decoder& in, T& value) {
        const std::byte* const from = in.take(min_size);
        if (from == nullptr) return false;
        for (std::size_t i = 0; i != bits; ++i) value[i] = ((from[i / 8] >> (i % 8)) & std::byte{1}) != std::byte{0};
        if constexpr (bits % 8 != 0) {
            if ((from[min_size - 1] >> (bits % 8)) != std::byte{0}) return in.reject();
        }
        return true;
    }
};

/// A flag, then the value if there is one: std::optional and std::unique_ptr.
template <class T>
struct MaybeCodec {
    using Value = std::remove_reference_t<decltype(*std::declval<T&>())>;
    static constexpr std::size_t min_size = 1;
    static constexpr std::size_t cost = kind_of<T> == Kind::pointer ? sizeof(Value) + 2 * sizeof(void*) : 0;

    static void encode(Encoder& out, const T& value) {
        const bool present = static_cast<bool>(value);
        encode_value(out, present);
        if (!present) return;
        if constexpr (cost != 0) out.charge<cost>(1);
        if constexpr (!is_leaf<Value>) out.enter();
        encode_value(out, *value);
        if constexpr (!is_leaf<Value>) out.leave();
    }

    static bool decode(Decoder& in, T& value) {
        bool present = false;
        if (!decode_value(in, present)) return false;
        if (!present) {
            value.reset();
            return true;
        }
        if constexpr (cost != 0) {
            if (!in.charge<cost>(1)) return false;
        }
        if (!value) fill(value);
        if constexpr (is_leaf<Value>) {
            return decode_value(in, *value);
        } else {
            return in.enter() && decode_value(in, *value) && in.leave();
        }
    }

private:
    static void fill(T& value) {
        if constexpr (kind_of<T> == Kind::pointer) {
            value = std::make_unique<Value>();
        } else {
            value.emplace();
        }
    }
};

template <class T>
struct Codec<T, Kind::optional> : MaybeCodec<T> {};

template <class T>
struct Codec<T, Kind::pointer> : MaybeCodec<T> {};

/// The index in one byte, then the alternative. A variant that lost its value by an exception cannot be encoded.
template <template <class...> class Variant, class... P>
struct Codec<Variant<P...>, Kind::variant> {
    using T = Variant<P...>;
    static constexpr std::size_t min_size = 1 + std::min({Codec<P>::min_size...});

    static void encode(Encoder& out, const T& value) {
        if (value.valueless_by_exception()) out.reject();
        out.put(static_cast<std::uint8_t>(value.index()));
        encode_alternative(out, value, std::index_sequence_for<P...>{});
    }

    static bool decode(Decoder& in, T& value) {
        std::uint8_t index = 0;
        if (!in.get(index)) return false;
        if (index >= sizeof...(P)) return in.reject();
        return decode_alternative(in, value, index, std::index_sequence_for<P...>{});
    }

private:
    template <std::size_t... I>
    static void encode_alternative(Encoder& out, const T& value, std::index_sequence<I...>) {
        static_cast<void>(((value.index() == I && encode_one(out, *get_if<I>(&value))) || ...));
    }

    template <class A>
    static bool encode_one(Encoder& out, const A& alternative) {
        if constexpr (!is_leaf<A>) out.enter();
        encode_value(out, alternative);
        if constexpr (!is_leaf<A>) out.leave();
        return true;
    }

    template <std::size_t... I>
    static bool decode_alternative(Decoder& in, T& value, std::size_t index, std::index_sequence<I...>) {
        bool decoded = false;
        static_cast<void>(((index == I && (decoded = decode_one<I>(in, value), true)) || ...));
        return decoded;
    }

    template <std::size_t I>
    static bool decode_one(Decoder& in, T& value) {
        if (value.index() != I) value.template emplace<I>();
        auto& alternative = *get_if<I>(&value);
        if constexpr (is_leaf<std::remove_reference_t<decltype(alternative)>>) {
            return decode_value(in, alternative);
        } else {
            return in.enter() && decode_value(in, alternative) && in.leave();
        }
    }
};

/// What the class's own function writes and reads.
template <class T>
struct Codec<T, Kind::custom> {
    static constexpr std::size_t min_size = 0;

    static void encode(Encoder& out, const T& value) {
        out.enter();
        call_serialize(out, value);
        out.leave();
    }

    static bool decode(Decoder& in, T& value) {
        if (!in.enter()) return false;
        call_serialize(in, value);
        in.leave();
        return !in.failed();
    }
};

template <class... M>
bool Encoder::operator()(const M&... members) {
    if constexpr ((require_message<M>() && ...)) (encode_value(*this, members), ...);
    return true;
}

template <class... M>
bool Decoder::operator()(M&... members) {
    if constexpr ((require_message<M>() && ...)) {
        return !failed() && (decode_value(*this, members) && ...);
    } else {
        return false;
    }
}

} // namespace cohort::detail

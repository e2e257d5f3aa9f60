// SPDX-License-Identifier: MIT
// How containers are encoded: the number of elements, then each of them (layer 1).
#pragma once

#include <cohort/detail/serialize/codec.hpp>

#include <concepts>
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

namespace cohort::detail {

/// What an element of a list, set or map costs beside itself: the pointers and the colour or hash of its node.
inline constexpr std::size_t node_size = 4 * sizeof(void*);

template <class T>
concept Contiguous = requires(T& container) { container.data(); };

template <class T>
struct Codec<T, Kind::sequence> {
    using Element = typename T::value_type;
    static constexpr std::size_t min_size = sizeof(Length);
    static constexpr std::size_t cost =
        sizeof(Element) + (requires(T& list) { list.splice(list.end(), list); } ? node_size : 0);
    static constexpr bool copied = Contiguous<T> && Bitwise<Element>;

    static void encode(Encoder& out, const T& value) {
        out.put_length<cost>(value.size());
        if constexpr (copied) {
            const std::size_t size = value.size() * sizeof(Element);
            if (size != 0) std::memcpy(out.take(size), value.data(), size);
        } else {
            if constexpr (!is_leaf<Element>) out.enter();
            for (const Element& element : value) encode_value(out, element);
            if constexpr (!is_leaf<Element>) out.leave();
        }
    }

    static bool decode(Decoder& in, T& value) {
        std::size_t count = 0;
        if (!in.get_length<Codec<Element>::min_size, cost>(count)) return false;
        value.resize(count);
        if constexpr (copied) {
            const std::byte* const from = in.take(count * sizeof(Element));
            if (count != 0) std::memcpy(value.data(), from, count * sizeof(Element));
            return true;
        } else if constexpr (is_leaf<Element>) {
            return decode_elements(in, value);
        } else {
            return in.enter() && decode_elements(in, value) && in.leave();
        }
    }

private:
    static bool decode_elements(Decoder& in, T& value) {
        for (Element& element : value) {
            if (!decode_value(in, element)) return false;
        }
        return true;
    }
};

template <class T>
struct Codec<T, Kind::text> {
    using Character = typename T::value_type;
    static constexpr std::size_t min_size = sizeof(Length);

    static void encode(Encoder& out, const T& value) { Codec<T, Kind::sequence>::encode(out, value); }

    static bool decode(Decoder& in, T& value) {
        if constexpr (std::same_as<Character, char>) {
            std::size_t count = 0;
            if (!in.get_length<1, 1>(count)) return false;
            value.assign(reinterpret_cast<const char*>(in.take(count)), count);
            return true;
        } else {
            return Codec<T, Kind::sequence>::decode(in, value);
        }
    }
};

/// std::vector<bool>: a byte for each element.
template <class T>
struct Codec<T, Kind::bits> {
    static constexpr std::size_t min_size = sizeof(Length);

    static void encode(Encoder& out, const T& value) {
        out.put_length<1>(value.size());
        for (const bool element : value) encode_value(out, element);
    }

    static bool decode(Decoder& in, T& value) {
        std::size_t count = 0;
        if (!in.get_length<1, 1>(count)) return false;
        value.resize(count);
        for (std::size_t i = 0; i != count; ++i) {
            bool element = false;
            if (!decode_value(in, element)) return false;
            value[i] = element;
        }
        return true;
    }
};

template <class T>
struct Codec<T, Kind::path> {
    static constexpr std::size_t min_size = sizeof(Length);

    // Each part between slashes becomes a path of its own within the object.
    static constexpr std::size_t cost = sizeof(T);

    static void encode(Encoder& out, const T& value) {
        out.charge<cost>(value.native().size());
        encode_value(out, value.native());
    }

    static bool decode(Decoder& in, T& value) {
        typename T::string_type text;
        if (!decode_value(in, text) || !in.charge<cost>(text.size())) return false;
        value = T{std::move(text)};
        return true;
    }
};

/// Sets and maps. Keys of the ordered ones must come in their order; a key that comes twice where it may not is an
/// error.
template <class T>
struct Codec<T, Kind::keyed> {
    using Key = typename T::key_type;
    static constexpr bool is_map = requires { typename T::mapped_type; };
    static constexpr bool is_ordered = (Shape<T>::extra & ordered) != 0;
    static constexpr bool nests = !all_leaves(typename Shape<T>::Parts{});
    static constexpr bool is_multiple = (Shape<T>::extra & multiple) != 0;
    static constexpr std::size_t min_size = sizeof(Length);
    static constexpr std::size_t cost = sizeof(typename T::value_type) + node_size;

    static void encode(Encoder& out, const T& value) {
        out.put_length<cost>(value.size());
        if constexpr (nests) out.enter();
        for (const auto& entry : value) {
            if constexpr (is_map) {
                encode_value(out, entry.first);
                encode_value(out, entry.second);
            } else {
                encode_value(out, entry);
            }
        }
        if constexpr (nests) out.leave();
    }

    static bool decode(Decoder& in, T& value) {
        std::size_t count = 0;
        value.clear();
        if (!in.get_length<sum_min_size(typename Shape<T>::Parts{}), cost>(count)) return false;
        if constexpr (!is_ordered) value.reserve(count);
        if constexpr (nests) {
            return in.enter() && decode_entries(in, value, count) && in.leave();
        } else {
            return decode_entries(in, value, count);
        }
    }

private:
    static bool decode_entries(Decoder& in, T& value, std::size_t count) {
        for (; count != 0; --count) {
            if (!decode_entry(in, value)) return false;
        }
        return true;
    }

    static bool decode_entry(Decoder& in, T& value) {
        Key key = Key();
        if (!decode_value(in, key)) return false;
        if (!may_follow(value, key)) return in.reject();
        if constexpr (is_map) {
            auto mapped = typename T::mapped_type();
            if (!decode_value(in, mapped)) return false;
            value.emplace_hint(value.end(), std::move(key), std::move(mapped));
        } else {
            value.emplace_hint(value.end(), std::move(key));
        }
        return true;
    }

    static bool may_follow(const T& value, const Key& key) {
        if constexpr (!is_ordered) {
            return is_multiple || !value.contains(key);
        } else if (value.empty()) {
            return true;
        } else if constexpr (is_multiple) {
            return !value.key_comp()(key, last_key(value));
        } else {
            return value.key_comp()(last_key(value), key);
        }
    }

    static const Key& last_key(const T& value) {
        if constexpr (is_map) {
            return value.rbegin()->first;
        } else {
            return *value.rbegin();
        }
    }
};

} // namespace cohort::detail

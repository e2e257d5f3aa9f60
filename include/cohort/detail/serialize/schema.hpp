// SPDX-License-Identifier: MIT
// A number for the structure of a type, by which two programs notice that theirs differ (layer 1).
#pragma once

#include <cohort/detail/serialize/shape.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cohort::detail {

class SchemaHash {
public:
    /// Takes in one number; every bit of it and of all before bears on the result.
    constexpr void mix(std::uint64_t number) {
        state_ = (state_ ^ number) * 0x9e3779b97f4a7c15;
        state_ ^= state_ >> 29;
        state_ *= 0xbf58476d1ce4e5b9;
        state_ ^= state_ >> 32;
    }

    constexpr std::uint64_t value() const { return state_; }

    /// A part has a serialize function, in which only it knows whether descriptors are passed.
    constexpr void meet_custom_part() { has_custom_parts_ = true; }
    constexpr bool has_custom_parts() const { return has_custom_parts_; }

private:
    std::uint64_t state_ = 0xcbf29ce484222325;
    bool has_custom_parts_ = false;
};

/// How many steps `T` lies back in `Path`, from 1; 0 when it does not.
template <class T, class... Path>
consteval std::uint64_t steps_back() {
    std::uint64_t step = 0;
    std::uint64_t found = 0;
    static_cast<void>(((++step, std::is_same_v<T, Path> && (found = step, true)) || ...));
    return found;
}

template <class T, class... Path>
constexpr void mix_schema(SchemaHash& hash);

template <class... Path, class... P>
constexpr void mix_parts(SchemaHash& hash, TypeList<P...>) {
    hash.mix(sizeof...(P));
    (mix_schema<P, Path...>(hash), ...);
}

/// A type that contains itself is written as the number of steps back to where it was begun.
template <class T, class... Path>
constexpr void mix_schema(SchemaHash& hash) {
    if constexpr (constexpr std::uint64_t steps = steps_back<T, Path...>(); steps != 0) {
        hash.mix(0x100 + steps);
    } else {
        hash.mix(static_cast<std::uint64_t>(kind_of<T>));
        if (kind_of<T> == Kind::custom) hash.meet_custom_part();
        hash.mix(Shape<T>::extra);
        mix_parts<T, Path...>(hash, typename Shape<T>::Parts{});
    }
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// Arguments and results of a master's actions, as the bytes of a control message (layer 4).
#pragma once

#include <cohort/serialize.hpp>

#include <cstddef>
#include <span>
#include <system_error>
#include <vector>

namespace cohort::detail {

/// Of one message, either way.
inline constexpr std::size_t most_of_control = std::size_t{1} << 20;

/// Throws what encode() does.
template <class T>
std::vector<std::byte> to_bytes(const T& value) {
    Buffer out;
    encode(value, out, {.bytes = most_of_control});
    return {out.bytes().begin(), out.bytes().end()};
}

/// Throws the error of decode() as std::system_error.
template <class T>
T from_bytes(const std::vector<std::byte>& bytes) {
    T value{};
    if (const auto error = decode(std::span(bytes), value, {.bytes = most_of_control})) throw std::system_error(error);
    return value;
}

} // namespace cohort::detail

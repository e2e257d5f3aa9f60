// SPDX-License-Identifier: MIT
// MessageSet: what one side of a control link may send, by numbers (layer 1).
#pragma once

#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/serialize.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cohort::detail {

/// Each message has a `number`, its place here. On the link it stands before the encoded message, so that each is
/// decoded as what it is: a variant of all would be compiled for every pair of them.
template <class... Messages>
struct MessageSet {
    static constexpr std::uint8_t size = sizeof...(Messages);

    static_assert(
        [] {
            std::uint8_t place = 0;
            return ((Messages::number == place++) && ...);
        }(),
        "the number of a message is its place");

    template <class M>
    static constexpr bool contains = (std::is_same_v<M, Messages> || ...);

    /// Calls `f(M*)`, with a null pointer that names the type, for the message of this number.
    template <class F>
    static void with_type(std::uint8_t number, F f) {
        static_cast<void>(((number == Messages::number && (f(static_cast<Messages*>(nullptr)), true)) || ...));
    }
};

/// Appends the message with its number.
template <class M>
void encode_message(const M& message, Buffer& out) {
    *out.prepare(1) = static_cast<std::byte>(M::number);
    out.commit(1);
    encode(message, out);
}

} // namespace cohort::detail

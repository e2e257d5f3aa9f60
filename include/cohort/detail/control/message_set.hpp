// SPDX-License-Identifier: MIT
// MessageSet: what one side of a control link may send, by numbers (layer 1).
#pragma once

#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/serialize.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cohort::detail {

/// The number of a message is its place. On the link it stands before the encoded message, so that each is decoded as
/// what it is: a variant of all would be compiled for every pair of them.
template <class... Messages>
struct MessageSet {
    static constexpr std::uint8_t size = sizeof...(Messages);

    template <class M>
    static constexpr std::uint8_t number_of = [] {
        constexpr std::array<bool, size> is_it{std::is_same_v<M, Messages>...};
        std::uint8_t number = 0;
        while (number != size && !is_it[number]) ++number;
        return number;
    }();

    /// Calls `f(M*)`, with a null pointer that names the type, for the message of this number.
    template <class F>
    static void with_type(std::uint8_t number, F f) {
        static_cast<void>(((number == number_of<Messages> && (f(static_cast<Messages*>(nullptr)), true)) || ...));
    }
};

/// Appends the message with its number.
template <class Set, class M>
void encode_message(const M& message, Buffer& out) {
    static_assert(Set::template number_of<M> != Set::size, "this side of the link does not send this message");
    *out.prepare(1) = static_cast<std::byte>(Set::template number_of<M>);
    out.commit(1);
    encode(message, out);
}

} // namespace cohort::detail

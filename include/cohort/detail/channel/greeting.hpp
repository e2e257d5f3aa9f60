// SPDX-License-Identifier: MIT
// Greeting: the first word of a channel, by which two programs with other message types know each other (layer 1).
#pragma once

#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/serialize/type_name.hpp>
#include <cohort/serialize.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace cohort::detail {

/// What is known of a message type without having it.
struct Schema {
    std::uint64_t hash = 0;
    std::string_view name; ///< for people

    template <class T>
    static constexpr Schema of() {
        return {schema_hash<T>(), type_name<T>().substr(0, max_hello / 2)};
    }
};

/// Payload of the hello frame: what the sender will send.
struct Greeting {
    std::uint64_t hash = 0;
    std::string name;
};

inline Greeting greeting_of(const Schema& schema) { return {schema.hash, std::string(schema.name)}; }

/// Throws when it is none, or one of other messages: Errc::bad_frame, bad_message, schema_mismatch.
inline void expect_greeting(const Frame& frame, const Schema& schema) {
    Greeting greeting;
    if (frame.header.kind != FrameKind::hello) throw std::system_error(make_error_code(Errc::bad_frame));
    if (const auto error = decode(frame.payload, greeting)) throw std::system_error(error);
    if (greeting.hash != schema.hash)
        throw std::system_error(make_error_code(Errc::schema_mismatch),
                                "expected " + std::string(schema.name) + ", the other side sends " + greeting.name);
}

} // namespace cohort::detail

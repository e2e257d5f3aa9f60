// SPDX-License-Identifier: MIT
// Greeting: the first frame of a channel, by which programs detect that their message types differ (layer 1).
#pragma once

#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/serialize/type_name.hpp>
#include <cohort/serialize.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace cohort::detail {

/// Identifies a message type at run time.
struct Schema {
    std::uint64_t hash = 0;
    std::string_view name; ///< for people
    bool bears_descriptors = true;

    template <class T>
    static constexpr Schema of() {
        return {schema_hash<T>(), type_name<T>().substr(0, max_hello / 2), may_bear_descriptors<T>()};
    }
};

/// Payload of the hello frame: what the sender will send.
struct Greeting {
    std::uint64_t hash = 0;
    std::string name;
};

Greeting greeting_of(const Schema& schema);

/// Throws when the frame is no greeting, or one for other messages: Errc::bad_frame, bad_message, schema_mismatch.
void expect_greeting(const Frame& frame, const Schema& schema);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/greeting.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of greeting.hpp (layer 1).
#pragma once

#include <cohort/detail/channel/greeting.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL Greeting greeting_of(const Schema& schema) { return {schema.hash, std::string(schema.name)}; }

COHORT_DECL void expect_greeting(const Frame& frame, const Schema& schema) {
    Greeting greeting;
    if (frame.header.kind != FrameKind::hello) throw std::system_error(make_error_code(Errc::bad_frame));
    if (const auto error = decode(frame.payload, greeting)) throw std::system_error(error);
    if (greeting.hash != schema.hash)
        throw std::system_error(make_error_code(Errc::schema_mismatch),
                                "expected " + std::string(schema.name) + ", the other side sends " + greeting.name);
}

} // namespace cohort::detail

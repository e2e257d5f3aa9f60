// SPDX-License-Identifier: MIT
// A master's action out of a handler of values (layer 4).
#pragma once

#include <cohort/detail/control_socket/encoded_value.hpp>
#include <cohort/detail/supervise/control_plane.hpp>
#include <cohort/task.hpp>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace cohort::detail {

/// Calls the handler with what the bytes encode.
template <class Argument, class Handler>
Task<std::vector<std::byte>> carry_out(std::shared_ptr<Handler> handler, std::vector<std::byte> bytes) {
    const Argument argument = from_bytes<Argument>(bytes);
    auto work = (*handler)(argument);
    const auto result = co_await std::move(work);
    co_return to_bytes(result);
}

/// `handler` is callable as Task<Result>(const Argument&).
template <class Argument, class Handler>
ControlAction make_action(Handler its_handler) {
    using Result = typename decltype(its_handler(std::declval<const Argument&>()))::value_type;
    const auto handler = std::make_shared<Handler>(std::move(its_handler));
    return {schema_hash<Argument>(), schema_hash<Result>(),
            [handler](std::vector<std::byte> bytes) { return carry_out<Argument>(handler, std::move(bytes)); }};
}

} // namespace cohort::detail

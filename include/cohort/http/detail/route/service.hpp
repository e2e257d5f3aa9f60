// SPDX-License-Identifier: MIT
// What a server calls for each request (layer 1).
#pragma once

#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/task.hpp>

#include <type_traits>

namespace cohort::http::detail {

/// The context of handlers that have none.
struct NoContext {};
inline constinit NoContext no_context{};

/// The handler with its context, in the one place all connections call.
template <class Context, class H>
struct Service {
    Context* context;
    H handler;

    Task<Response> answer(const Request& request) {
        if constexpr (std::is_invocable_r_v<Task<Response>, H&, Context&, const Request&>)
            return handler(*context, request);
        else
            return handler(request);
    }
};

} // namespace cohort::http::detail

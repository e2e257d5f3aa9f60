// SPDX-License-Identifier: MIT
// A handler of whatever type, as the server calls it for each request (layer 1).
#pragma once

#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/task.hpp>

#include <type_traits>
#include <utility>

namespace cohort::http::detail {

/// The context of handlers that have none.
struct NoContext {};
inline constinit NoContext no_context{};

/// Type-erased, so the server is compiled once: a request costs one virtual call, which returns the handler's own Task.
class AnyHandler {
public:
    AnyHandler() = default;
    AnyHandler(const AnyHandler&) = delete;
    AnyHandler& operator=(const AnyHandler&) = delete;
    virtual ~AnyHandler() = default;

    virtual Task<Response> answer(const Request& request) = 0;
};

/// The handler with its context, in the one place all connections call.
template <class Context, class H>
class Service final : public AnyHandler {
public:
    Service(Context& context, H handler) : context_(context), handler_(std::move(handler)) {}

    Task<Response> answer(const Request& request) override {
        if constexpr (std::is_invocable_r_v<Task<Response>, H&, Context&, const Request&>)
            return handler_(context_, request);
        else
            return handler_(request);
    }

private:
    Context& context_;
    H handler_;
};

} // namespace cohort::http::detail

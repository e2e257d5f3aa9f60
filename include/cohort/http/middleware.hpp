// SPDX-License-Identifier: MIT
// What stands between a router and its handlers (layer 1).
#pragma once

#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/task.hpp>

#include <cstddef>
#include <exception>
#include <type_traits>

namespace cohort::http {

namespace detail {

/// The middleware of one request, then its handler.
class Chain {
public:
    /// Calls the first middleware from `index` on whose prefix covers the request, else the handler.
    virtual Task<Response> go_on(std::size_t index) = 0;

protected:
    ~Chain() = default;
};

} // namespace detail

/// Given to a middleware: the rest of the chain. Valid until the middleware's task ends.
class Next {
public:
    Next(detail::Chain& chain, std::size_t index) noexcept : chain_(&chain), index_(index) {}

    /// The answer of the next middleware, or of the handler; it throws what they throw. A middleware that does not call
    /// it answers by itself.
    Task<Response> operator()() const { return chain_->go_on(index_); }

private:
    detail::Chain* chain_;
    std::size_t index_;
};

/// Runs around handlers:
///
///     Task<http::Response> timed(const http::Request& request, http::Next next) {
///         const auto begun = std::chrono::steady_clock::now();
///         http::Response response = co_await next();
///         response.add("Server-Timing", since(begun));
///         co_return response;
///     }
template <class M>
concept Middleware = std::is_invocable_r_v<Task<Response>, M&, const Request&, Next>;

/// A middleware of a router with a Context, which it may take as well.
template <class M, class Context>
concept MiddlewareFor = Middleware<M> || std::is_invocable_r_v<Task<Response>, M&, Context&, const Request&, Next>;

/// Answers for a handler or a middleware that threw.
template <class H>
concept ErrorHandler = std::is_invocable_r_v<Task<Response>, H&, const Request&, std::exception_ptr>;

/// An error handler of a router with a Context, which it may take as well.
template <class H, class Context>
concept ErrorHandlerFor =
    ErrorHandler<H> || std::is_invocable_r_v<Task<Response>, H&, Context&, const Request&, std::exception_ptr>;

} // namespace cohort::http

// SPDX-License-Identifier: MIT
// serve: an HTTP/1.1 server on anything that yields connections (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/http/access_log.hpp> // for whoever sets ServerOptions::access_log
#include <cohort/http/detail/route/service.hpp>
#include <cohort/http/detail/serve/any_acceptor.hpp>
#include <cohort/http/detail/serve/serve_loop.hpp>
#include <cohort/http/options.hpp>
#include <cohort/http/response.hpp>
#include <cohort/http/router.hpp>
#include <cohort/task.hpp>

#include <memory>
#include <utility>

namespace cohort::http {

/// Serves every connection that `acceptor` yields, each by a coroutine of its own on the executor of the caller, which
/// must run one handler at a time (an io_context with one thread, or a strand).
///
/// `handler` is called as handler(context, request), or handler(request), one request at a time for each connection; it
/// is copied, and `context` and `acceptor` must outlive the Task. What it throws is answered (http::Error: its status;
/// std::bad_alloc: 503; anything else: 500) and logged, and the server goes on.
///
/// Returns when the acceptor yields nothing more and all connections have ended: idle ones are closed, after what they
/// have received is answered, and busy ones end with their response. When the acceptor is a Listener whose worker stops
/// while others keep running, those take over the idle ones at once and the busy ones after their response, and no
/// client notices. Draining has no time limit of its own: a worker has its grace period, other callers cancel. When
/// accepting fails it drains likewise and then throws; only after std::bad_alloc it tries again a moment later. When it
/// is cancelled, the connections and the handlers are cancelled too, and it waits for their end: nothing refers to
/// `context` any more when it returns.
///
///     const http::ServerOptions options{.max_requests = 1000};
///     co_await http::serve(self, listener, hello, options);
template <class Context, Acceptor A, class H>
Task<> serve(Context& context, A& acceptor, H handler, ServerOptions options);
/// With the options' defaults. Not as a default argument: g++ 12 destroys an aggregate in a caller's co_await twice.
template <class Context, Acceptor A, class H>
Task<> serve(Context& context, A& acceptor, H handler) {
    return serve(context, acceptor, std::move(handler), ServerOptions{});
}

/// The same for handlers without a context.
template <Acceptor A, class H>
Task<> serve(A& acceptor, H handler, ServerOptions options);
template <Acceptor A, class H>
Task<> serve(A& acceptor, H handler) {
    return serve(acceptor, std::move(handler), ServerOptions{});
}

template <class Context, Acceptor A, class H>
Task<> serve(Context& context, A& acceptor, H handler, ServerOptions options) {
    static_assert(
        HandlerFor<H, Context>,
        "http::serve(context, acceptor, handler): the handler is callable as Task<http::Response>(Context&, const "
        "http::Request&) or Task<http::Response>(const http::Request&). Is Context the type of the first argument, "
        "does the handler return Task<http::Response>, and take the request by const reference?");
    return detail::serve_all(std::make_unique<detail::AcceptorAdapter<A>>(acceptor),
                             std::make_unique<detail::Service<Context, H>>(context, std::move(handler)),
                             std::move(options));
}

template <Acceptor A, class H>
Task<> serve(A& acceptor, H handler, ServerOptions options) {
    static_assert(
        Handler<H>,
        "http::serve(acceptor, handler): the handler is callable as Task<http::Response>(const http::Request&). "
        "For one that takes a context too, call http::serve(context, acceptor, handler).");
    return detail::serve_all(
        std::make_unique<detail::AcceptorAdapter<A>>(acceptor),
        std::make_unique<detail::Service<detail::NoContext, H>>(detail::no_context, std::move(handler)),
        std::move(options));
}

} // namespace cohort::http

// SPDX-License-Identifier: MIT
// serve: an HTTP/1.1 server on anything that yields connections (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/http/detail/route/service.hpp>
#include <cohort/http/detail/serve/connection.hpp>
#include <cohort/http/options.hpp>
#include <cohort/http/router.hpp>
#include <cohort/task.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/this_coro.hpp>

#include <exception>
#include <memory>
#include <new>
#include <optional>
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
/// have received is answered, and busy ones end with their response. When the acceptor is a Listener whose worker
/// leaves while others go on, they get the idle ones at once and the busy ones after their response, and no client
/// notices. It sets them no limit: a worker has its grace, others cancel it. When accepting fails it does the same and
/// then throws; want of memory alone (std::bad_alloc) has it try again a moment later. When it is cancelled, the
/// connections and the handlers are cancelled too, and it waits for their end: nothing refers to `context` any more
/// when it returns.
///
///     co_await http::serve(self, listener, hello, {.max_requests = 1000});
template <class Context, Acceptor A, class H>
Task<> serve(Context& context, A& acceptor, H handler, ServerOptions options = {});

/// The same for handlers without a context.
template <Acceptor A, class H>
Task<> serve(A& acceptor, H handler, ServerOptions options = {});

namespace detail {

/// Lasts from a request's head to the end of its answer, however that comes.
class Exchange {
public:
    explicit Exchange(Connection& connection) : connection_(connection), counted_(connection.stream().begin_request()) {
        connection.begin_handling();
    }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    ~Exchange() { connection_.responder().end(); }

private:
    Connection& connection_;
    const cohort::detail::OngoingRequest counted_;
};

/// The life of a connection. The response lives here while it is sent.
template <class S>
Task<> converse(Connection& connection, S& service, std::unique_ptr<StreamLayer> layer) {
    if (connection.has_preamble(layer != nullptr)) {
        const bool opened = co_await connection.open(std::move(layer));
        if (!opened) co_return;
    }
    Responder& responder = connection.responder();
    while (true) {
        bool ready = connection.take_request();
        if (!ready) ready = co_await connection.wait_for_request();
        if (!ready) break;
        const Exchange exchange(connection);
        if (!connection.flush_soon()) co_await connection.stream().send();
        Response response;
        try {
            response = co_await service.answer(connection.request());
        } catch (...) {
            response = responder.explain_failure();
        }
        if (connection.end_handling()) co_await asio::this_coro::reset_cancellation_state();
        if (connection.stream().server().cancelled()) co_return;
        responder.respond(response);
        if (responder.incomplete()) co_await responder.complete(response);
        if (!connection.next()) break;
    }
    if (!connection.asleep()) co_await connection.finish();
}

Task<> refuse_connection(Connection& connection);

template <class S>
void sleep(const std::shared_ptr<Connection>& connection, S& service);

void end(Connection& connection);

/// Runs `life` beside everything else. The connection is held until after its frame is gone; an exception that comes
/// out ends that connection and nothing else.
template <class S>
void start(std::shared_ptr<Connection> connection, Task<> life, S& service) {
    const asio::any_io_executor executor = connection->stream().server().executor();
    const asio::cancellation_slot slot = connection->stream().slot();
    auto ended = [connection = std::move(connection), &service](const std::exception_ptr& failure) {
        if (!failure && connection->asleep())
            sleep(connection, service);
        else
            end(*connection);
    };
    asio::co_spawn(executor, std::move(life), asio::bind_cancellation_slot(slot, std::move(ended)));
}

/// Nothing of the connection's life is left until it goes on.
template <class S>
void sleep(const std::shared_ptr<Connection>& connection, S& service) {
    try {
        connection->sleep([connection, &service](const std::error_code&) {
            connection->wake();
            if (connection->stream().server().cancelled()) return end(*connection);
            try {
                start(connection, converse(*connection, service, nullptr), service);
            } catch (const std::bad_alloc&) {
                end(*connection);
            }
        });
    } catch (const std::bad_alloc&) {
        end(*connection);
    }
}

template <class A, class S>
void begin(A& acceptor, const std::shared_ptr<Server>& server, Socket socket, S& service) {
    const bool too_many = server->full();
    auto connection = std::make_shared<Connection>(server, std::move(socket));
    // Refusing politely takes a moment: past twice the limit it is done without a word.
    if (too_many && server->size() > 2 * server->options().max_connections) return;
    Connection& begun = *connection;
    std::unique_ptr<StreamLayer> layer;
    if constexpr (Layers<A>) {
        if (too_many) return; // a refusal would have to be encrypted
        layer = acceptor.make_layer(begun.stream().socket());
    }
    start(std::move(connection), too_many ? refuse_connection(begun) : converse(begun, service, std::move(layer)),
          service);
}

template <class A, class S>
Task<> accept_all(A& acceptor, std::shared_ptr<Server> server, S& service) {
    const bool refuses = server->options().overload == Overload::refuse;
    while (true) {
        std::optional<Socket> socket;
        bool has_accepted = true;
        try {
            socket = co_await acceptor.accept();
        } catch (const std::bad_alloc&) {
            has_accepted = false;
        }
        if (!has_accepted) {
            server->log("no memory to accept connections");
            co_await server->pause();
            continue;
        }
        if (!socket) co_return;
        if (!refuses && server->full()) co_await server->wait_for_room();
        try {
            begin(acceptor, server, std::move(*socket), service);
        } catch (const std::exception& error) {
            server->log(error.what()); // it is closed; the others go on
        }
    }
}

/// However accepting ends, the connections finish first.
template <class A, class S>
Task<> accept_and_drain(A& acceptor, std::shared_ptr<Server> server, S& service) {
    std::exception_ptr failure;
    try {
        co_await accept_all(acceptor, server, service);
    } catch (...) {
        failure = std::current_exception();
    }
    server->drain();
    while (server->size() != 0) co_await server->wait_for_end();
    if (failure) std::rethrow_exception(failure);
}

template <class A, class Context, class H>
Task<> serve_all(A& acceptor, Service<Context, H> service, ServerOptions options) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto server = std::make_shared<Server>(executor, std::move(options));
    server->ask_whether_stopping(acceptor);
    if constexpr (HandsOver<A>) server->hand_over_by(acceptor);
    std::exception_ptr failure;
    try {
        co_await accept_and_drain(acceptor, server, service);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (server->size() != 0) server->cancel(); // as this is being
    while (server->size() != 0) {
        try {
            co_await server->wait_for_end();
        } catch (const std::bad_alloc&) { // Again: nothing may outlive this.
        }
    }
    server->stop();
    if (failure) std::rethrow_exception(failure);
}

} // namespace detail

template <class Context, Acceptor A, class H>
Task<> serve(Context& context, A& acceptor, H handler, ServerOptions options) {
    static_assert(
        HandlerFor<H, Context>,
        "http::serve(context, acceptor, handler): the handler is callable as Task<http::Response>(Context&, const "
        "http::Request&) or Task<http::Response>(const http::Request&). Is Context the type of the first argument, "
        "does the handler return Task<http::Response>, and take the request by const reference?");
    detail::Service<Context, H> service{&context, std::move(handler)};
    return detail::serve_all(acceptor, std::move(service), std::move(options));
}

template <Acceptor A, class H>
Task<> serve(A& acceptor, H handler, ServerOptions options) {
    static_assert(
        Handler<H>,
        "http::serve(acceptor, handler): the handler is callable as Task<http::Response>(const http::Request&). "
        "For one that takes a context too, call http::serve(context, acceptor, handler).");
    detail::Service<detail::NoContext, H> service{&detail::no_context, std::move(handler)};
    return detail::serve_all(acceptor, std::move(service), std::move(options));
}

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/serve.ipp>
#endif

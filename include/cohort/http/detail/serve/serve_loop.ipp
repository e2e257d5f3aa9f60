// SPDX-License-Identifier: MIT
// The bodies of serve_loop.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/serve_loop.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/system/forked_copy.hpp>
#include <cohort/http/detail/serve/connection.hpp>
#include <cohort/http/detail/serve/server.hpp>

#include <asio/cancellation_state.hpp>
#include <asio/this_coro.hpp>

#include <exception>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

namespace cohort::http::detail {

/// Lasts from a request's head to the end of its answer, however that comes.
class Exchange {
public:
    explicit Exchange(Connection& connection)
        : connection_(connection), counted_(connection.stream().begin_request(connection.note())) {
        connection.begin_handling();
    }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    ~Exchange() {
        connection_.responder().end();
        if (connection_.responder().upgraded()) counted_.disregard_time();
    }

private:
    Connection& connection_;
    cohort::detail::OngoingRequest counted_;
};

/// The life of a connection. The response lives here while it is sent.
COHORT_DECL Task<> converse(Connection& connection, std::unique_ptr<StreamLayer> layer) {
    if (connection.has_preamble(layer != nullptr)) {
        const bool opened = co_await connection.open(std::move(layer));
        if (!opened) co_return;
    }
    AnyHandler& handler = connection.stream().server().handler();
    Responder& responder = connection.responder();
    cohort::detail::TurnBudget turn; // of requests that came at once
    while (true) {
        bool ready = connection.take_request();
        if (!ready) {
            ready = co_await connection.wait_for_request();
            turn.begin();
        } else if (turn.is_over()) {
            co_await turn.let_others_go_on();
            if (connection.stream().server().cancelled()) co_return;
        }
        if (!ready) break;
        const Exchange exchange(connection);
        if (!connection.flush_soon()) co_await connection.stream().send();
        Response response;
        try {
            response = co_await handler.answer(connection.request());
        } catch (...) {
            cohort::detail::end_if_forked_copy();
            response = responder.explain_failure();
        }
        cohort::detail::end_if_forked_copy(); // its parent answers
        if (connection.end_handling()) co_await asio::this_coro::reset_cancellation_state();
        if (connection.stream().server().cancelled()) co_return;
        responder.respond(response);
        if (responder.incomplete()) co_await responder.complete(response);
        if (!connection.next()) break;
    }
    if (!connection.asleep()) co_await connection.finish();
}

COHORT_DECL Task<> refuse_connection(Connection& connection) {
    const Server::Refusal refusal(connection.stream().server());
    connection.responder().refuse(503);
    co_await connection.finish();
}

COHORT_DECL void end_connection(Connection& connection) {
    connection.stream().end();
    connection.stream().server().ended(connection.stream());
}

COHORT_DECL void start_connection(const std::shared_ptr<Connection>& connection, Task<> life);

/// Called when a sleeping connection is to go on.
struct WakeUp {
    std::shared_ptr<Connection> connection;

    void operator()(const std::error_code&) const {
        connection->wake();
        if (connection->stream().server().cancelled()) return end_connection(*connection);
        try {
            start_connection(connection, converse(*connection, nullptr));
        } catch (const std::bad_alloc&) {
            end_connection(*connection);
        }
    }
};

/// The coroutine of the connection has ended: only the Connection is left until it wakes up.
COHORT_DECL void put_to_sleep(const std::shared_ptr<Connection>& connection) {
    try {
        connection->sleep(WakeUp{connection});
    } catch (const std::bad_alloc&) {
        end_connection(*connection);
    }
}

/// Called when the coroutine of a connection has ended.
COHORT_DECL void life_ended(const std::shared_ptr<void>& object, bool threw) {
    const auto connection = std::static_pointer_cast<Connection>(object);
    if (!threw && connection->asleep())
        put_to_sleep(connection);
    else
        end_connection(*connection);
}

/// Runs `life` beside everything else. The connection is held until after its frame is gone; an exception that comes
/// out ends that connection and nothing else.
COHORT_DECL void start_connection(const std::shared_ptr<Connection>& connection, Task<> life) {
    ConnectionStream& stream = connection->stream();
    cohort::detail::spawn(stream.server().executor(), std::move(life), stream.slot(), life_ended, connection);
}

COHORT_DECL void begin_connection(const std::shared_ptr<Server>& server, Socket socket) {
    const bool too_many = server->full();
    const auto connection = std::make_shared<Connection>(server, std::move(socket));
    // Refusing politely takes a moment: past twice the limit it is done without a word.
    if (too_many && server->size() > 2 * server->options().max_connections) return;
    Connection& begun = *connection;
    std::unique_ptr<StreamLayer> layer;
    if (server->acceptor().has_layers()) {
        if (too_many) return; // a refusal would have to be encrypted
        layer = server->acceptor().make_layer(begun.stream().socket());
    }
    Task<> life = too_many ? refuse_connection(begun) : converse(begun, std::move(layer));
    start_connection(connection, std::move(life));
}

COHORT_DECL Task<> accept_all(std::shared_ptr<Server> server) {
    const bool refuses = server->options().overload == Overload::refuse;
    while (true) {
        std::optional<Socket> socket;
        bool has_accepted = true;
        try {
            socket = co_await server->acceptor().accept();
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
            begin_connection(server, std::move(*socket));
        } catch (const std::exception& error) {
            server->log(error.what()); // it is closed; the others go on
        }
    }
}

/// However accepting ends, the connections finish first.
COHORT_DECL Task<> accept_and_drain(std::shared_ptr<Server> server) {
    std::exception_ptr failure;
    try {
        co_await accept_all(server);
    } catch (...) {
        failure = std::current_exception();
    }
    server->drain();
    while (server->size() != 0) co_await server->wait_while_draining();
    if (failure) std::rethrow_exception(failure);
}

COHORT_DECL Task<> serve_all(std::unique_ptr<AnyAcceptor> acceptor, std::unique_ptr<AnyHandler> handler,
                             ServerOptions options) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto server = cohort::detail::share<Server>(executor, std::move(acceptor), *handler, std::move(options));
    std::exception_ptr failure;
    try {
        co_await accept_and_drain(server);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (server->size() != 0) server->cancel(); // this Task is being cancelled, and they with it
    while (server->size() != 0) {
        try {
            co_await server->wait_for_end();
        } catch (const std::bad_alloc&) { // Again: nothing may outlive this.
        }
    }
    server->stop();
    co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation()); // as it was
    if (failure) std::rethrow_exception(failure);
}

} // namespace cohort::http::detail

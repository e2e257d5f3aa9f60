// SPDX-License-Identifier: MIT
// The bodies of connection.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/connection.hpp>

#include <cohort/detail/async/action.hpp>
#include <cohort/detail/config.hpp>

#include <algorithm>
#include <cstddef>
#include <system_error>

namespace cohort::http::detail {

COHORT_DECL Connection::Connection(std::shared_ptr<Server> server, Socket socket)
    : peer_(socket.state()),
      stream_(std::move(server), std::move(socket)),
      parser_(stream_.server().options().limits),
      body_(stream_, parser_),
      responder_(stream_, parser_, body_, peer_) {
    parser_.request().set_body_source(&body_);
    parser_.request().set_context(this);
    if (peer_.served() != 0) return;
    head_deadline_ = stream_.server().after(stream_.server().ticks_for().head);
}

COHORT_DECL void Connection::begin_handling() noexcept {
    responder_.begin();
    const auto timeout = stream_.server().options().handler_timeout;
    if (timeout.count() > 0) stream_.server().limit_handler(stream_, timeout);
}

COHORT_DECL Task<bool> Connection::open(std::unique_ptr<StreamLayer> layer) {
    if (stream_.server().options().proxy_protocol && !peer_.introduced()) {
        const bool introduced = co_await read_proxy_header();
        if (!introduced) co_return false;
    }
    std::error_code error;
    // Before its first byte it is like any other that has said nothing: nobody waits long for it while others wait, or
    // while the server drains.
    if (layer && stream_.received().empty()) co_await stream_.wait_for_input(deadline_for(Waiting::fresh), error);
    if (!layer || error) co_return !error;
    co_await stream_.open_layer(std::move(layer), deadline_for(Waiting::head), error);
    const bool is_refused = error && error != asio::error::timed_out && error != asio::error::operation_aborted;
    // The alert that says why would be lost in a reset: with TLS 1.3 a client sends its request at once.
    if (is_refused && !stream_.server().cancelled()) co_await stream_.linger();
    co_return !error;
}

COHORT_DECL Task<bool> Connection::read_proxy_header() {
    ProxyHeader header;
    bool begun = false;
    while (true) {
        const auto step = header.take(stream_.received());
        stream_.consume(step.consumed);
        if (step.malformed) co_return false;
        if (header.done()) break;
        begun = begun || step.consumed != 0;
        const Waiting what = begun ? Waiting::head : Waiting::fresh;
        std::error_code error;
        const std::size_t count = co_await stream_.read(what, deadline_for(what), ConnectionStream::usual_room, error);
        if (error == asio::error::operation_aborted && hand_over()) co_return false;
        if (count == 0) co_return false;
    }
    peer_.introduce(header.address());
    co_return true;
}

COHORT_DECL bool Connection::take_request() {
    const auto step = parser_.parse(stream_.received());
    stream_.consume(step.consumed);
    if (step.event == ParseEvent::error) responder_.refuse(parser_.refuse());
    return step.event == ParseEvent::head;
}

COHORT_DECL Task<bool> Connection::wait_for_request() {
    while (!responder_.refused()) {
        if (!stream_.send_at_once()) co_await stream_.send();
        if (hand_over()) co_return false;
        const Waiting what = what_to_wait_for();
        std::error_code error;
        std::size_t count = 0;
        if (what == Waiting::nothing || std::exchange(overslept_, false))
            error = asio::error::operation_aborted;
        else {
            count = co_await stream_.begin_read(what, deadline_for(what), ConnectionStream::usual_room, error);
            stream_.end_read(count, error);
        }
        if (what == Waiting::idle && error == asio::error::timed_out && fall_asleep()) co_return false;
        if (stream_.server().cancelled()) co_return false;
        if (count == 0 && error == asio::error::operation_aborted && hand_over()) co_return false;
        // Nobody waits for an idle connection any more; but what the client has sent already is answered.
        const bool given_up = error == asio::error::operation_aborted || error == asio::error::timed_out;
        if (given_up && what <= Waiting::idle) count = co_await stream_.read_rest();
        if (error == asio::error::timed_out && what == Waiting::head) responder_.refuse(408);
        if (count == 0) co_return false;
        if (take_request()) co_return true;
        if (head_deadline_ == 0) head_deadline_ = stream_.server().after(stream_.server().ticks_for().head);
    }
    co_return false;
}

/// While the server drains and another one keeps running, the connection goes to that one between two requests.
COHORT_DECL bool Connection::hand_over() {
    const bool between_requests = !parser_.inside_head() && stream_.received().empty() && !stream_.unsent();
    if (!between_requests || !stream_.server().hands_over()) return false;
    return stream_.hand_over(peer_.state(responder_.served()));
}

COHORT_DECL Waiting Connection::what_to_wait_for() const noexcept {
    if (parser_.inside_head()) return Waiting::head;
    if (responder_.served() == 0) return Waiting::fresh;
    const Server& server = stream_.server();
    const bool is_last = server.draining() && !server.awaits_last_request();
    return is_last || server.crowded() ? Waiting::nothing : Waiting::idle;
}

COHORT_DECL std::uint64_t Connection::deadline_for(Waiting what) const noexcept {
    const Server& server = stream_.server();
    const Ticks& ticks = server.ticks_for();
    if (what == Waiting::idle) return std::min(server.after(std::min(ticks.park, ticks.idle)), server.farewell());
    if (what == Waiting::fresh && server.awaits_last_request()) return std::min(head_deadline_, server.farewell());
    if (what == Waiting::fresh && (server.draining() || server.crowded()))
        return std::min(head_deadline_, server.after(ticks.fresh));
    if (what == Waiting::head && server.crowded())
        return std::min(head_deadline_, server.after(ticks.fresh * head_patience));
    return head_deadline_;
}

COHORT_DECL bool Connection::fall_asleep() {
    const Ticks& ticks = stream_.server().ticks_for();
    if (ticks.idle <= ticks.park || stream_.server().farewell() <= stream_.server().after(0)) return false;
    parser_.release();
    stream_.release_buffers();
    return asleep_ = true;
}

COHORT_DECL bool Connection::flush_soon() {
    if (flush_posted_ || !stream_.unsent()) return true;
    if (stream_.has_layer()) return false;
    cohort::detail::post(stream_.executor(), cohort::detail::action<&Connection::flush>(this, shared_from_this()));
    flush_posted_ = true;
    return true;
}

COHORT_DECL void Connection::flush() {
    flush_posted_ = false;
    stream_.send_at_once();
}

COHORT_DECL bool Connection::next() {
    responder_.end();
    if (responder_.closing()) return false;
    parser_.restart();
    stream_.trim_buffers();
    head_deadline_ = stream_.received().empty() ? 0 : stream_.server().after(stream_.server().ticks_for().head);
    body_.restart();
    return true;
}

COHORT_DECL Task<> Connection::finish() {
    if (stream_.unsent()) co_await stream_.send();
    if (stream_.has_layer()) co_await stream_.close_layer();
    if (must_linger()) co_await stream_.linger();
    stream_.end();
}

/// Whether the client may be sending while the connection is closed.
COHORT_DECL bool Connection::must_linger() const noexcept {
    if (stream_.input_ended()) return false;
    if (responder_.refused() || !stream_.received().empty()) return true;
    if (!responder_.closing()) return false;
    // Others wait for this one's place; it got its answer, and nothing more from it has come.
    // The others may be sending, too: who asked for Connection: close has not promised to be silent.
    return !stream_.server().crowded() || !parser_.complete();
}

} // namespace cohort::http::detail

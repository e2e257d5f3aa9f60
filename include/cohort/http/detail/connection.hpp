// SPDX-License-Identifier: MIT
// One HTTP/1.1 connection: requests in, responses out, in order (layer 3).
#pragma once

#include <cohort/http/detail/body_reader.hpp>
#include <cohort/http/detail/body_stream.hpp>
#include <cohort/http/detail/wire.hpp>
#include <cohort/http/parser.hpp>
#include <cohort/http/response.hpp>

#include <asio/post.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace cohort::http::detail {

/// Everything of a connection but calling the handler, so that none of it depends on the handler's type. In turn:
/// take_request or wait_for_request, the handler, respond, complete, next; and finish at the end.
class Connection final : public std::enable_shared_from_this<Connection> {
public:
    Connection(std::shared_ptr<Server> server, Socket socket)
        : wire_(std::move(server), std::move(socket)),
          parser_(wire_.server().options().limits),
          body_(wire_, parser_),
          stream_(wire_) {
        parser_.request().set_body_source(&body_);
        served_ = served_before(wire_.state());
        if (served_ != 0) return;
        head_deadline_ = wire_.server().after(wire_.server().ticks_for().head);
    }

    Wire& wire() noexcept { return wire_; }
    const Request& request() const noexcept { return parser_.request(); }

    /// Whether the bytes at hand complete the head of a request.
    bool take_request();

    /// Waits for a request. False when there will be none: the connection is to be finished.
    Task<bool> wait_for_request();

    /// When answers to earlier requests are held back, sends them should the handler suspend.
    void flush_soon();

    /// Queues the response, all of it unless it is large or streamed.
    void respond(Response& response);

    /// Whether respond() has left something to complete().
    bool incomplete() const noexcept {
        return large_ || streaming_ || !parser_.complete() || wire_.out().size() > 65536;
    }
    /// Sends the rest of it, and reads over what the handler left of the request's body.
    Task<> complete(Response& response);

    /// Goes on to the next request; false when this was the last.
    bool next();

    /// Answers without asking the handler, and no more after that.
    void refuse(int status);

    /// Sends what is left, and ends the connection in a way that lets the client see it.
    Task<> finish();

    /// What to answer for what a handler threw; to be called while handling the exception.
    Response explain_failure() noexcept;

private:
    /// Up to here a body is copied behind its head; a larger one is sent from where it lies.
    static constexpr std::size_t large_body = 16 * 1024;

    static std::size_t served_before(const std::string& state) noexcept;
    bool hand_over();
    Waiting what_to_wait_for() const noexcept;
    std::uint64_t deadline_for(Waiting what) const noexcept;
    Task<> park(std::error_code& error);
    bool closes_after(const Response& response) const;
    bool must_linger() const noexcept;

    Wire wire_;
    RequestParser parser_;
    BodyReader body_;
    BodyStream stream_;
    std::uint64_t head_deadline_ = 0; ///< 0: no byte of the next head has come yet
    std::size_t served_ = 0;
    bool closing_ = false; ///< the response at hand is the last
    bool refused_ = false; ///< a request was refused
    bool large_ = false;
    bool streaming_ = false;
    bool flush_posted_ = false;
};

inline bool Connection::take_request() {
    const auto step = parser_.parse(wire_.received());
    wire_.consume(step.consumed);
    if (step.event == ParseEvent::error) refuse(parser_.refuse());
    return step.event == ParseEvent::head;
}

inline Task<bool> Connection::wait_for_request() {
    while (!refused_) {
        if (!wire_.send_at_once()) co_await wire_.send();
        if (hand_over()) co_return false;
        const Waiting what = what_to_wait_for();
        std::error_code error;
        std::size_t count = 0;
        if (what == Waiting::nothing)
            error = asio::error::operation_aborted;
        else {
            count = co_await wire_.begin_read(what, deadline_for(what), Wire::usual_room, error);
            wire_.end_read(count, error);
        }
        if (what == Waiting::idle && error == asio::error::timed_out) {
            co_await park(error);
            if (!error) continue;
        }
        if (wire_.server().cancelled()) co_return false;
        if (count == 0 && error == asio::error::operation_aborted && hand_over()) co_return false;
        // Nobody waits for an idle connection any more; but what the client has sent already is answered.
        if (error == asio::error::operation_aborted && what <= Waiting::idle) count = wire_.read_now();
        if (error == asio::error::timed_out && what == Waiting::head) refuse(408);
        if (count == 0) co_return false;
        if (take_request()) co_return true;
        if (head_deadline_ == 0) head_deadline_ = wire_.server().after(wire_.server().ticks_for().head);
    }
    co_return false;
}

/// What servers say to each other of a connection is how many requests it has had.
inline std::size_t Connection::served_before(const std::string& state) noexcept {
    std::size_t count = 0;
    std::from_chars(state.data(), state.data() + state.size(), count);
    return count;
}

/// While the server drains, and another goes on: between two requests it is that one's.
inline bool Connection::hand_over() {
    const bool between_requests = !parser_.inside_head() && wire_.received().empty() && !wire_.unsent();
    if (!between_requests || !wire_.server().hands_over()) return false;
    return wire_.hand_over(served_ == 0 ? std::string() : std::to_string(served_));
}

inline Waiting Connection::what_to_wait_for() const noexcept {
    if (parser_.inside_head()) return Waiting::head;
    if (served_ == 0) return Waiting::fresh;
    return wire_.server().draining() || wire_.server().crowded() ? Waiting::nothing : Waiting::idle;
}

inline std::uint64_t Connection::deadline_for(Waiting what) const noexcept {
    const Server& server = wire_.server();
    const Ticks& ticks = server.ticks_for();
    if (what == Waiting::idle) return server.after(std::min(ticks.park, ticks.idle));
    if (what == Waiting::fresh && server.draining()) return std::min(head_deadline_, server.after(ticks.fresh));
    return head_deadline_;
}

/// A connection that has been idle for a while is likely to be so for long: it waits on without buffers.
inline Task<> Connection::park(std::error_code& error) {
    const Server& server = wire_.server();
    const Ticks& ticks = server.ticks_for();
    if (ticks.idle <= ticks.park) co_return;
    error.clear();
    parser_.release();
    wire_.release_buffers();
    co_await wire_.wait_readable(Waiting::idle, server.after(ticks.idle - ticks.park), error);
}

inline void Connection::flush_soon() {
    if (flush_posted_ || !wire_.unsent()) return;
    flush_posted_ = true;
    asio::post(wire_.executor(), [self = shared_from_this()] {
        self->flush_posted_ = false;
        self->wire_.send_at_once();
    });
}

inline void Connection::respond(Response& response) {
    if (response.status() < 200 || response.status() > 999) {
        wire_.server().log("a handler answered with status " + std::to_string(response.status()));
        response = http::status(500);
    }
    ++served_;
    const Request& request = parser_.request();
    Framing framing;
    framing.http_1_0 = request.version_minor() == 0;
    framing.head_only = request.method() == Method::head;
    framing.length = response.length();
    framing.chunked = !framing.length && !framing.http_1_0;
    const bool ends_with_connection = !framing.length && !framing.chunked;
    framing.close = closing_ = ends_with_connection || closes_after(response);
    append_head(wire_.out(), response, framing, wire_.server().date());
    if (framing.head_only || has_no_body(response.status())) return;
    streaming_ = response.streamed();
    large_ = response.body().size() > large_body;
    stream_.begin(framing.length, framing.chunked);
    if (!streaming_ && !large_) wire_.out().append(response.body());
}

inline bool Connection::closes_after(const Response& response) const {
    const Server& server = wire_.server();
    if (!parser_.request().keep_alive() || body_.has_failed()) return true;
    if (served_ == server.options().max_requests) return true;
    const bool makes_room = server.crowded() || (server.draining() && !server.hands_over());
    if (makes_room && wire_.received().empty()) return true;
    if (!response.fields().empty() && response.fields().has_token("connection", "close")) return true;
    return !parser_.complete() && body_.leaves_too_much();
}

inline Task<> Connection::complete(Response& response) {
    if (large_) co_await wire_.send(response.body());
    if (streaming_) co_await stream_.run(response.producer());
    large_ = streaming_ = false;
    co_await wire_.send();
    if (closing_ || parser_.complete()) co_return;
    const bool skipped = co_await body_.skip();
    closing_ = !skipped;
}

inline bool Connection::next() {
    if (closing_) return false;
    parser_.restart();
    wire_.trim_buffers();
    head_deadline_ = wire_.received().empty() ? 0 : wire_.server().after(wire_.server().ticks_for().head);
    body_.restart();
    return true;
}

inline void Connection::refuse(int status) {
    refused_ = true;
    Response response = http::status(status);
    Framing framing;
    framing.close = true;
    framing.length = response.length();
    append_head(wire_.out(), response, framing, wire_.server().date());
    wire_.out().append(response.body());
}

inline Task<> Connection::finish() {
    if (wire_.unsent()) co_await wire_.send();
    if (must_linger()) co_await wire_.linger();
    wire_.end();
}

/// Whether the client may be sending while the connection is closed.
inline bool Connection::must_linger() const noexcept {
    if (wire_.input_ended()) return false;
    if (refused_ || !wire_.received().empty()) return true;
    if (!closing_) return false;
    // Others wait for this one's place; it got its answer, and nothing more from it has come.
    if (wire_.server().crowded() && parser_.complete()) return false;
    return parser_.request().keep_alive() || !parser_.complete();
}

inline Response Connection::explain_failure() noexcept {
    const Server& server = wire_.server();
    try {
        throw;
    } catch (const Error& error) {
        if (error.status() >= 500) server.log(error.what());
        return http::status(error.status());
    } catch (const std::bad_alloc&) {
        server.log("a handler ran out of memory");
        return Response(503);
    } catch (const std::exception& error) {
        if (!server.cancelled()) server.log(error.what());
    } catch (...) {
        server.log("a handler threw something that is not a std::exception");
    }
    return http::status(500);
}

} // namespace cohort::http::detail

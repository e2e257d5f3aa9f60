// SPDX-License-Identifier: MIT
// One HTTP/1.1 connection: requests in, responses out, in order (layer 3).
#pragma once

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
/// next_request, the handler, respond; and finish at the end.
class Connection final : public BodySource, public BodySink, public std::enable_shared_from_this<Connection> {
public:
    Connection(std::shared_ptr<Server> server, Socket socket)
        : wire_(std::move(server), std::move(socket)), parser_(wire_.server().options().limits) {
        parser_.request().set_body_source(this);
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

    Task<std::optional<std::string_view>> read_chunk() override;
    Task<> write_chunk(std::string_view bytes) override;

private:
    /// Up to here a body is copied behind its head; a larger one is sent from where it lies.
    static constexpr std::size_t large_body = 16 * 1024;

    static std::size_t served_before(const std::string& state) noexcept;
    bool hand_over();
    Waiting what_to_wait_for() const noexcept;
    std::uint64_t deadline_for(Waiting what) const noexcept;
    Task<> park(std::error_code& error);
    bool closes_after(const Response& response) const;
    bool leaves_too_much() const noexcept;
    bool must_linger() const noexcept;
    Task<> read_body_bytes();
    Task<> skip_body();
    Task<> stream(const Producer& producer);

    Wire wire_;
    RequestParser parser_;
    std::optional<std::uint64_t> stream_left_;
    std::uint64_t head_deadline_ = 0; ///< 0: no byte of the next head has come yet
    std::uint64_t body_received_ = 0;
    std::uint64_t body_waited_ = 0; ///< ticks spent waiting for it; what the handler takes does not count
    std::size_t served_ = 0;
    int body_error_ = 0;
    bool closing_ = false;   ///< the response at hand is the last
    bool refused_ = false;   ///< a request was refused
    bool continued_ = false; ///< `100 Continue` was sent
    bool large_ = false;
    bool streaming_ = false;
    bool chunked_ = false;
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
    chunked_ = framing.chunked;
    stream_left_ = framing.length;
    if (!streaming_ && !large_) wire_.out().append(response.body());
}

inline bool Connection::closes_after(const Response& response) const {
    const Server& server = wire_.server();
    if (!parser_.request().keep_alive() || body_error_ != 0) return true;
    if (served_ == server.options().max_requests) return true;
    const bool makes_room = server.crowded() || (server.draining() && !server.hands_over());
    if (makes_room && wire_.received().empty()) return true;
    if (!response.fields().empty() && response.fields().has_token("connection", "close")) return true;
    return !parser_.complete() && leaves_too_much();
}

/// Whether reading what the handler left of the body costs more than a new connection. A client that still waits for
/// `100 Continue` may send its body or not: only the end of the connection is clear to both.
inline bool Connection::leaves_too_much() const noexcept {
    if (parser_.expects_continue() && !continued_) return true;
    return parser_.remaining().value_or(0) > wire_.server().options().unread_bytes;
}

inline Task<> Connection::complete(Response& response) {
    if (large_) co_await wire_.send(response.body());
    if (streaming_) co_await stream(response.producer());
    large_ = streaming_ = false;
    co_await wire_.send();
    if (!closing_ && !parser_.complete()) co_await skip_body();
}

inline bool Connection::next() {
    if (closing_) return false;
    parser_.restart();
    wire_.trim_buffers();
    head_deadline_ = wire_.received().empty() ? 0 : wire_.server().after(wire_.server().ticks_for().head);
    body_received_ = body_waited_ = 0;
    body_error_ = 0;
    continued_ = false;
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

inline Task<std::optional<std::string_view>> Connection::read_chunk() {
    while (!parser_.complete()) {
        if (body_error_ != 0) throw Error(body_error_);
        const auto step = parser_.parse(wire_.received());
        wire_.consume(step.consumed);
        if (step.event == ParseEvent::body) {
            continued_ = true;
            co_return step.body;
        }
        if (step.event == ParseEvent::error) body_error_ = parser_.refuse();
        if (step.event == ParseEvent::need_more) co_await read_body_bytes();
    }
    co_return std::nullopt;
}

inline Task<> Connection::read_body_bytes() {
    if (parser_.expects_continue() && !continued_) wire_.out().append("HTTP/1.1 100 Continue\r\n\r\n");
    continued_ = true;
    if (wire_.unsent()) co_await wire_.send();
    const Server& server = wire_.server();
    const std::uint64_t begun = server.after(0);
    const std::uint64_t patience = server.ticks_for().body + server.ticks_at_body_rate(body_received_);
    const std::uint64_t left = patience - std::min(patience, body_waited_);
    const bool much = parser_.remaining().value_or(large_body) >= large_body;
    std::error_code error;
    const std::size_t count = co_await wire_.read(Waiting::body, begun + std::min(server.ticks_for().body, left),
                                                  much ? 65536 : Wire::usual_room, error);
    body_waited_ += server.after(0) - begun;
    body_received_ += count;
    if (count == 0) body_error_ = error == asio::error::timed_out ? 408 : 400;
}

inline Task<> Connection::skip_body() {
    std::size_t skipped = 0;
    try {
        while (skipped <= wire_.server().options().unread_bytes) {
            const std::optional<std::string_view> chunk = co_await read_chunk();
            if (!chunk) co_return;
            skipped += chunk->size();
        }
    } catch (const Error&) { // The answer is on its way already; what follows cannot be trusted.
    }
    closing_ = true;
}

inline Task<> Connection::stream(const Producer& producer) {
    BodyWriter writer(*this);
    try {
        Task<> writing = producer(writer);
        co_await std::move(writing);
    } catch (const std::system_error&) {
        throw;
    } catch (const std::exception& error) {
        wire_.server().log(error.what());
        throw;
    }
    if (chunked_) wire_.out().append("0\r\n\r\n");
    if (stream_left_.value_or(0) == 0) co_return;
    wire_.server().log("a streamed body is shorter than its declared length");
    throw std::length_error("http::stream");
}

inline Task<> Connection::write_chunk(std::string_view bytes) {
    if (bytes.empty()) co_return;
    if (stream_left_) {
        if (bytes.size() > *stream_left_) throw std::length_error("a streamed body is longer than its declared length");
        *stream_left_ -= bytes.size();
    }
    std::string& out = wire_.out();
    if (chunked_) {
        append_number(out, bytes.size(), 16);
        out.append("\r\n");
    }
    const bool copied = bytes.size() <= Wire::usual_room;
    if (copied)
        out.append(bytes);
    else
        co_await wire_.send(bytes);
    if (chunked_) out.append("\r\n");
    if (copied) co_await wire_.send();
}

} // namespace cohort::http::detail

// SPDX-License-Identifier: MIT
// The bodies of connection_stream.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/connection_stream.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/forked_copy.hpp>

#include <asio/error.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <array>

#include <sys/socket.h>

namespace cohort::http::detail {

/// Whoever had the connection before may still hold it, and O_NONBLOCK is shared with the holder (fcntl(2)).
inline constexpr Socket::message_flags without_waiting = MSG_DONTWAIT;

COHORT_DECL ConnectionStream::ConnectionStream(std::shared_ptr<Server> server, Socket socket)
    : server_(std::move(server)), socket_(std::move(socket)) {
    std::error_code ignored;
    socket_.non_blocking(true, ignored);
    server_->add(*this);
}

COHORT_DECL Task<std::size_t> ConnectionStream::begin_read(Waiting what, std::uint64_t deadline, std::size_t room,
                                                           std::error_code& error) {
    server_->begin_waiting(*this, what, deadline);
    if (layer_) return layer_->read_some(space(room), error);
    return socket_.async_receive(space(room), without_waiting, asio::redirect_error(asio::use_awaitable, error));
}

COHORT_DECL void ConnectionStream::end() noexcept {
    cohort::detail::end_if_forked_copy(); // its parent goes on with the connection
    std::error_code ignored;
    if (!half_closed_ || !input_ended_) socket_.shutdown(Socket::shutdown_both, ignored);
    socket_.close(ignored);
}

COHORT_DECL void ConnectionStream::sent(std::size_t count, std::string_view& tail) noexcept {
    const std::size_t from_out = std::min(count, out_.size() - sent_);
    sent_ += from_out;
    if (sent_ == out_.size()) out_.clear(), sent_ = 0;
    tail.remove_prefix(count - from_out);
}

COHORT_DECL Task<> ConnectionStream::wait_for_input(std::uint64_t deadline, std::error_code& error) {
    server_->begin_waiting(*this, Waiting::fresh, deadline);
    co_await socket_.async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, error));
    if (end_waiting() && error) error = asio::error::timed_out;
}

COHORT_DECL Task<> ConnectionStream::open_layer(std::unique_ptr<StreamLayer> layer, std::uint64_t deadline,
                                                std::error_code& error) {
    server_->begin_waiting(*this, Waiting::head, deadline);
    co_await layer->open(received(), error);
    if (end_waiting() && !error) error = asio::error::timed_out;
    in_.clear();
    layer_ = std::move(layer);
}

COHORT_DECL Task<std::size_t> ConnectionStream::read(Waiting what, std::uint64_t deadline, std::size_t room,
                                                     std::error_code& error) {
    const std::size_t count = co_await begin_read(what, deadline, room, error);
    end_read(count, error);
    co_return count;
}

COHORT_DECL void ConnectionStream::end_read(std::size_t count, std::error_code& error) noexcept {
    const bool expired = end_waiting();
    in_.commit(count);
    if (error == asio::error::operation_aborted && expired) error = asio::error::timed_out;
    if (error == asio::error::eof) input_ended_ = true;
}

COHORT_DECL Task<std::size_t> ConnectionStream::read_rest() {
    std::error_code error;
    std::size_t count = 0;
    if (!layer_) {
        count = socket_.receive(space(usual_room), without_waiting, error);
        in_.commit(count);
    } else if (socket_.available(error) != 0) {
        count = co_await read(Waiting::head, server_->after(server_->ticks_for().fresh), usual_room, error);
    }
    co_return count;
}

COHORT_DECL std::error_code ConnectionStream::send_now(std::string_view& tail) {
    if (layer_) return unsent() || !tail.empty() ? asio::error::would_block : std::error_code();
    while (unsent() || !tail.empty()) {
        std::error_code error;
        std::size_t count = 0;
        const std::string_view head = std::string_view{out_}.substr(sent_);
        if (tail.empty())
            count = socket_.send(asio::buffer(head.data(), head.size()), without_waiting, error);
        else if (head.empty())
            count = socket_.send(asio::buffer(tail.data(), tail.size()), without_waiting, error);
        else
            count =
                socket_.send(std::array{asio::buffer(head.data(), head.size()), asio::buffer(tail.data(), tail.size())},
                             without_waiting, error);
        if (error) return error;
        sent(count, tail);
    }
    return {};
}

COHORT_DECL Task<> ConnectionStream::send_through_layer(std::string_view tail) {
    while (unsent() || !tail.empty()) {
        const std::string_view part = unsent() ? std::string_view{out_}.substr(sent_) : tail;
        std::error_code error;
        server_->begin_waiting(*this, Waiting::write, server_->after(server_->ticks_for().write));
        const std::size_t count = co_await layer_->write_some(asio::buffer(part.data(), part.size()), error);
        const bool expired = end_waiting();
        if (error) throw std::system_error(expired ? asio::error::make_error_code(asio::error::timed_out) : error);
        sent(count, tail);
    }
}

/// Uses the work deadline, since the wait deadline belongs to the pending read.
COHORT_DECL Task<> ConnectionStream::send_beside_reading(std::string_view bytes) {
    cohort::detail::end_if_forked_copy();
    while (!bytes.empty()) {
        std::error_code error;
        std::size_t count = 0;
        if (!layer_) count = socket_.send(asio::buffer(bytes.data(), bytes.size()), without_waiting, error);
        if (layer_ || error == asio::error::would_block) {
            error.clear();
            server_->limit_work(*this, server_->after(server_->ticks_for().write));
            writing_beside_ = true;
            if (layer_)
                count = co_await layer_->write_some(asio::buffer(bytes.data(), bytes.size()), error);
            else
                co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(asio::use_awaitable, error));
            writing_beside_ = false;
            server_->end_work(*this);
            if (interrupted()) cancel_waiting();
        }
        if (error) throw std::system_error(error);
        bytes.remove_prefix(count);
    }
}

COHORT_DECL Task<> ConnectionStream::send(std::string_view tail) {
    cohort::detail::end_if_forked_copy(); // what is here to be sent is its parent's
    if (layer_) {
        co_await send_through_layer(tail);
        co_return;
    }
    while (true) {
        std::error_code error = send_now(tail);
        if (!error) co_return;
        if (error != asio::error::would_block && error != asio::error::try_again) throw std::system_error(error);
        error.clear();
        server_->begin_waiting(*this, Waiting::write, server_->after(server_->ticks_for().write));
        co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(asio::use_awaitable, error));
        const bool expired = end_waiting();
        if (error) throw std::system_error(expired ? asio::error::make_error_code(asio::error::timed_out) : error);
    }
}

/// How many ticks a client that has had its last answer may be silent.
COHORT_DECL std::uint64_t ConnectionStream::quiet_time() const noexcept {
    const Ticks& ticks = server_->ticks_for();
    return server_->hurries() ? std::min(ticks.linger, ticks.fresh) : ticks.linger;
}

COHORT_DECL Task<> ConnectionStream::close_layer() {
    std::error_code ignored;
    server_->begin_waiting(*this, Waiting::linger, server_->after(quiet_time()));
    co_await layer_->close(ignored);
    end_waiting();
}

COHORT_DECL Task<> ConnectionStream::linger() {
    std::error_code error;
    const Ticks& ticks = server_->ticks_for();
    const std::uint64_t last = server_->after(ticks.linger_in_all);
    socket_.shutdown(Socket::shutdown_send, error);
    half_closed_ = true;
    layer_.reset(); // what comes now is not looked at
    std::size_t discarded = in_.size();
    error.clear();
    while (!error && discarded < server_->options().linger_bytes) {
        in_.clear();
        const std::uint64_t deadline = std::min(last, server_->after(quiet_time()));
        discarded += co_await read(Waiting::linger, deadline, 16 * usual_room, error);
    }
}

} // namespace cohort::http::detail

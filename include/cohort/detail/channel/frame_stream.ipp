// SPDX-License-Identifier: MIT
// The bodies of frame_stream.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/frame_stream.hpp>

#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/config.hpp>

#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <iterator>

namespace cohort::detail {

COHORT_DECL Passed& FrameStream::passed(const Frame& frame, std::size_t sets) {
    if (passed_.size() <= sets) {
        const std::size_t before = passed_.size();
        transport().collect(passed_);
        count_held(before);
    }
    if (passed_.size() <= sets) throw std::system_error(make_error_code(Errc::bad_frame));
    Passed& set = *std::next(passed_.begin(), static_cast<std::ptrdiff_t>(sets));
    if (!set.lost && set.descriptors.size() != frame.header.descriptors)
        throw std::system_error(make_error_code(Errc::bad_frame));
    return set;
}

/// A peer sends no more of them than the frames that it has begun need. The first `sets_before` sets are counted.
COHORT_DECL void FrameStream::count_held(std::size_t sets_before) {
    auto set = std::next(passed_.begin(), static_cast<std::ptrdiff_t>(sets_before));
    for (; set != passed_.end(); ++set) held_ += set->count;
    if (held_ <= most_held_ && passed_.size() <= max_passed_ahead) return;
    passed_.clear();
    held_ = 0;
    throw std::system_error(make_error_code(Errc::bad_frame));
}

/// Whether bytes were read. Records the end of the stream, also when the peer closed it with our bytes unread.
COHORT_DECL bool FrameStream::read_some() {
    const std::size_t wanted = std::max(read_size, reader_.missing());
    std::byte* const space = in_.prepare(wanted);
    const std::size_t room = std::min(in_.room(), most_read);
    const std::size_t sets = passed_.size();
    ssize_t count = 0;
    do {
        count = transport().read({space, room}, passed_);
    } while (count < 0 && errno == EINTR);
    emptied_ = count >= 0 && static_cast<std::size_t>(count) < room;
    if (passed_.size() != sets) count_held(sets);
    if (count > 0) {
        in_.commit(static_cast<std::size_t>(count));
        return true;
    }
    if (count == 0 || errno == ECONNRESET)
        ended_ = true;
    else if (!would_block(errno))
        throw_last_error("recv");
    return false;
}

/// One waiter watches the socket; the others wait for its result.
COHORT_DECL Task<bool> FrameStream::fill() {
    const auto self = shared_from_this();
    while (is_open() && !ended_) {
        if (unreceived_fault_) throw std::system_error(unreceived_fault_);
        if (reading_) {
            co_await arrival_.wait();
            co_return !ended_;
        }
        if (turn_is_over()) {
            co_await let_others_go_on();
            const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
            throw_if_cancelled(cancellation);
            co_return true; // somebody else may have read meanwhile
        }
        // A short read has emptied the socket: another at once would be a wasted system call.
        if (!std::exchange(emptied_, false) && read_some()) {
            on_arrival();
            read_ahead();
            co_return true;
        }
        if (ended_) break;
        if (limits().spin.count() != 0) flush_before_spinning();
        if (!transport().may_wait_to_read()) continue;
        std::error_code error;
        reading_ = true;
        try {
            co_await transport().socket().readable(error);
        } catch (...) {
            stopped_reading();
            throw;
        }
        stopped_reading();
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        // operation_aborted without a cancellation: the transport ended the wait, so that the reader looks again.
        if (error && error != asio::error::operation_aborted && !ended_) throw std::system_error(error);
        begin_turn();
    }
    on_end(std::make_error_code(std::errc::connection_reset));
    co_return false;
}

COHORT_DECL Task<> FrameStream::let_others_go_on() {
    co_await asio::post(asio::use_awaitable);
    begin_turn();
}

/// Another waiter, or the background read, takes over.
COHORT_DECL void FrameStream::stopped_reading() {
    reading_ = false;
    transport().waited_to_read();
    arrival_.notify_all();
    read_ahead();
}

COHORT_DECL void FrameStream::read_ahead() {
    if (reading_ || ended_ || !is_open() || !wants_more()) return;
    reading_ = true;
    const Action look = action<&FrameStream::look_ahead>(this, shared_from_this());
    if (transport().may_wait_to_read())
        transport().socket().when_readable(look);
    else
        post(executor(), look);
}

COHORT_DECL void FrameStream::look_ahead() {
    reading_ = false;
    transport().waited_to_read();
    if (!is_open() || ended_) return;
    try {
        if (read_some()) on_arrival();
    } catch (const std::system_error& error) {
        unreceived_fault_ = error.code();
        on_end(error.code());
    }
    if (ended_) on_end(std::make_error_code(std::errc::connection_reset));
    arrival_.notify_all();
    read_ahead();
}

COHORT_DECL void FrameStream::drain() {
    // A process that the peer started may go on sending.
    for (std::size_t left = transport().unread(); left > 0 && is_open() && !ended_;) {
        const std::size_t before = in_.size();
        if (!read_some()) break;
        left -= std::min(left, in_.size() - before);
    }
    fail(std::make_error_code(std::errc::connection_reset)); // it reads nothing more
    try {
        on_arrival();
    } catch (const std::system_error&) {
        // Whoever receives what stands before the nonsense finds that in its turn.
    }
    ended_ = true;
    on_end(std::make_error_code(std::errc::connection_reset));
    if (is_open()) transport().socket().cancel();
    arrival_.notify_all();
}

// Ending

COHORT_DECL void FrameStream::close() {
    ended_ = true;
    close_when_written();
    in_.clear();
    passed_.clear();
    held_ = 0;
    on_end(make_error_code(Errc::closed));
    finish();
    if (nothing_queued())
        transport().socket().close();
    else if (is_open())
        transport().socket().cancel();
    arrival_.notify_all();
}

COHORT_DECL void FrameStream::abort() {
    ended_ = true;
    in_.clear();
    passed_.clear();
    held_ = 0;
    on_end(make_error_code(Errc::closed));
    fail(Errc::closed);
    transport().socket().close();
    arrival_.notify_all();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of frame_writer.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/frame_writer.hpp>

#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/config.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>

namespace cohort::detail {

COHORT_DECL FrameWriter::~FrameWriter() = default;

COHORT_DECL void FrameWriter::flush_later() {
    flushing_ = true;
    post(executor(), action<&FrameWriter::end_turn>(this, shared_from_this()));
}

COHORT_DECL void FrameWriter::end_turn() {
    flushing_ = wrote_ = false;
    if (!waiting_ && !queue_.empty()) write_some();
}

COHORT_DECL void FrameWriter::write_some() {
    for (std::size_t written = 0; !queue_.empty() && is_open();) {
        const ssize_t count = write_front();
        if (count >= 0) written += static_cast<std::size_t>(count);
        if (count >= 0 && written >= most_written && !queue_.empty()) return write_later();
        if (count >= 0) continue;
        if (would_block(errno)) return write_when_possible();
        if (is_kernel_limit(errno)) return retry_soon();
        if (errno != EINTR) return fail(last_error());
    }
    queue_.shrink(2 * limits_.high_water);
    if (finishing_ && is_open()) transport_->end_writing();
    if (closing_) transport_->socket().close();
}

/// Wakes those who wait for room.
COHORT_DECL ssize_t FrameWriter::write_front() {
    const bool was_full = !has_room();
    const ssize_t count = queue_.write(*transport_);
    if (count >= 0 && ((was_full && has_room()) || queue_.empty())) room_.notify_all();
    return count;
}

COHORT_DECL void FrameWriter::write_when_possible() {
    waiting_ = true;
    // Also after a cancellation: that was meant for the readers.
    transport_->wait_writable(action<&FrameWriter::write_again>(this, shared_from_this()));
}

COHORT_DECL void FrameWriter::write_later() {
    waiting_ = true;
    post(executor(), action<&FrameWriter::write_again>(this, shared_from_this()));
}

COHORT_DECL void FrameWriter::retry_soon() {
    waiting_ = true;
    if (!retry_) retry_.emplace(executor());
    retry_->expire_after(std::chrono::milliseconds(5), action<&FrameWriter::write_again>(this, shared_from_this()));
}

COHORT_DECL void FrameWriter::write_again() {
    waiting_ = false;
    write_some();
}

COHORT_DECL void FrameWriter::fail(std::error_code error) {
    error_ = error;
    queue_.clear();
    room_.notify_all();
}

COHORT_DECL Task<> FrameWriter::room(std::shared_ptr<FrameWriter> self) {
    while (!self->has_room()) co_await self->room_.wait();
    if (self->error_) throw std::system_error(self->error_);
}

COHORT_DECL Task<> FrameWriter::until_empty(std::shared_ptr<FrameWriter> self) {
    while (!self->queue_.empty() && !self->error_) co_await self->room_.wait();
    if (self->error_) throw std::system_error(self->error_);
}

COHORT_DECL Task<> FrameWriter::answers_read(std::shared_ptr<FrameWriter> self) {
    if (!self->has_room()) co_await self->room_.wait();
}

COHORT_LAZY COHORT_DECL Task<> FrameWriter::flush(std::shared_ptr<FrameWriter> self) {
    if (self->queue_.empty()) co_await asio::post(asio::use_awaitable); // in a loop it holds nobody up
    while (!self->queue_.empty()) {
        if (!self->waiting_) self->write_some();
        if (!self->queue_.empty()) co_await self->room_.wait();
    }
    if (self->error_ && self->error_ != Errc::closed) throw std::system_error(self->error_);
}

COHORT_DECL void FrameWriter::flush_now(Timeout timeout) noexcept {
    const auto deadline = timeout.deadline();
    while (!queue_.empty() && is_open()) {
        if (queue_.write(*transport_) >= 0 || errno == EINTR) continue;
        if (!would_block(errno) && !is_kernel_limit(errno)) return;
        auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (!would_block(errno)) left = std::min(left, std::chrono::milliseconds(5));
        if (left.count() <= 0 || !transport_->wait_writable_now(left)) return;
    }
}

COHORT_DECL void FrameWriter::flush_before_spinning() {
    wrote_ = false;
    if (!waiting_) return write_some();
    // The socket may be writable already, but the wait's handler would run only after the spinning.
    while (!queue_.empty())
        if (write_front() < 0) return;
}

COHORT_DECL void FrameWriter::finish() {
    if (error_) return;
    error_ = Errc::closed;
    finishing_ = true;
    if (!waiting_) write_some();
    room_.notify_all();
}

COHORT_DECL FrameWriter::FrameWriter(const asio::any_io_executor& executor, std::shared_ptr<Transport> transport,
                                     StreamLimits limits)
    : transport_(std::move(transport)),
      room_(executor),
      limits_(limits),
      queue_(limits.max_length),
      write_size_(transport_->write_size()) {}

COHORT_DECL bool FrameWriter::is_open() const noexcept { return transport_->socket().is_open(); }

COHORT_DECL int FrameWriter::native_handle() const noexcept { return transport_->socket().get(); }

COHORT_DECL bool FrameWriter::is_cut_off() const noexcept { return transport_->is_cut_off(); }

COHORT_DECL asio::any_io_executor FrameWriter::executor() noexcept { return transport_->socket().get_executor(); }

COHORT_DECL void FrameWriter::push(FrameKind kind, std::uint64_t correlation) noexcept {
    try {
        push(kind, correlation, [](Buffer&, std::vector<int>&) {});
    } catch (const std::exception&) {
        // The other side learns of it by the end of the stream.
    }
}

} // namespace cohort::detail

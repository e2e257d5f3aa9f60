// SPDX-License-Identifier: MIT
// The bodies of body_stream.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/body_stream.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/http/detail/respond/response_head.hpp>

#include <asio/error.hpp>
#include <asio/multiple_exceptions.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>

namespace cohort::http::detail {

COHORT_DECL void BodyStream::begin(std::optional<std::uint64_t> length, bool chunked) noexcept {
    left_ = length;
    written_ = 0;
    chunked_ = chunked;
    ends_at_drain_ = writing_ = false;
}

COHORT_DECL Task<> BodyStream::yield() { return asio::post(stream_.executor(), asio::use_awaitable); }

COHORT_DECL Task<> BodyStream::run(const Producer& producer) {
    BodyWriter writer(*this);
    std::exception_ptr failure;
    try {
        Task<> writing = producer(writer);
        co_await std::move(writing);
    } catch (const std::system_error&) {
        failure = std::current_exception();
    } catch (...) {
        failure = std::current_exception();
        if (!ended_by_drain(failure)) stream_.server().log(cohort::detail::exception_text());
    }
    stream_.end_at_drain(false);
    if (failure && !ended_by_drain(failure)) std::rethrow_exception(failure);
    // The producer may have returned although it was cancelled.
    if (ends_at_drain_ && draining() && !stream_.server().cancelled())
        co_await asio::this_coro::reset_cancellation_state();
    if (chunked_) stream_.out().append("0\r\n\r\n");
    if (left_.value_or(0) == 0) co_return;
    stream_.server().log("a streamed body is shorter than its declared length");
    throw std::length_error("http::stream");
}

COHORT_DECL void BodyStream::begin_writing() noexcept {
    writing_ = true;
    stream_.end_at_drain(false);
}

COHORT_DECL void BodyStream::end_writing() {
    writing_ = false;
    end_at_drain(ends_at_drain_);
}

COHORT_DECL void BodyStream::end_at_drain(bool wanted) {
    ends_at_drain_ = wanted;
    if (writing_) return;
    stream_.end_at_drain(wanted);
    if (wanted && draining()) stream_.server().cancel_work(stream_); // its next wait
}

/// Whether this is how a producer ends that is cancelled since the server drains.
COHORT_DECL bool BodyStream::ended_by_drain(const std::exception_ptr& failure) const noexcept {
    if (!ends_at_drain_ || !draining() || stream_.server().cancelled()) return false;
    try {
        std::rethrow_exception(failure);
    } catch (const std::system_error& error) {
        return error.code() == asio::error::operation_aborted;
    } catch (const asio::multiple_exceptions& several) { // of both sides of a `||`
        return ended_by_drain(several.first_exception());
    } catch (...) {
        return false;
    }
}

COHORT_DECL Task<> BodyStream::write_chunk(std::string_view bytes) {
    if (bytes.empty()) co_return;
    if (left_) {
        if (bytes.size() > *left_) throw std::length_error("a streamed body is longer than its declared length");
        *left_ -= bytes.size();
    }
    begin_writing();
    written_ += bytes.size();
    std::string& out = stream_.out();
    if (chunked_) {
        append_number(out, bytes.size(), 16);
        out.append("\r\n");
    }
    const bool copied = bytes.size() <= ConnectionStream::usual_room;
    if (copied)
        out.append(bytes);
    else
        co_await send_by_turns(bytes);
    if (chunked_) out.append("\r\n");
    if (copied) co_await stream_.send();
    if (copied && turn_ended(bytes.size())) co_await yield();
    end_writing();
}

COHORT_DECL Task<> BodyStream::send_by_turns(std::string_view bytes) {
    while (!bytes.empty()) {
        const std::string_view part = bytes.substr(0, turn);
        co_await stream_.send(part);
        bytes.remove_prefix(part.size());
        if (!bytes.empty() || turn_ended(part.size())) co_await yield();
    }
}

} // namespace cohort::http::detail

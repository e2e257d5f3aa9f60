// SPDX-License-Identifier: MIT
// Bodies as they come and go: the reader of a request's, the writer of a streamed response's (layer 1).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/http/status.hpp>
#include <cohort/task.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cohort::http {

namespace detail {

/// Ends only by being cancelled: what has no server never sees one drain.
COHORT_LAZY Task<> wait_for_ever();

/// Where the chunks of a request's body come from: the connection, or a test.
class BodySource {
public:
    virtual Task<std::optional<std::string_view>> read_chunk() = 0;

protected:
    ~BodySource() = default;
};

/// Where the chunks of a streamed response go.
class BodySink {
public:
    virtual Task<> write_chunk(std::string_view bytes) = 0;
    virtual bool draining() const noexcept { return false; }
    virtual Task<> until_draining() { return wait_for_ever(); }
    virtual void end_at_drain(bool) {}

protected:
    ~BodySink() = default;
};

} // namespace detail

/// The body of a request, read from the connection only when the handler asks (that is also when a client that sent
/// `Expect: 100-continue` is told to go on). Cheap to copy; it ends with the request it comes from.
class Body {
public:
    Body() = default;
    explicit Body(detail::BodySource* source) noexcept : source_(source) {}

    /// The next bytes, at least one, or nothing at the end of the body; again nothing after that. The view holds until
    /// the next read. Throws http::Error: 400 when the body is malformed or the stream ends inside it, 413 past the
    /// limit, 408 when the client is too slow.
    Task<std::optional<std::string_view>> read() const;

    /// The rest of the body; never more than the server's body limit. Throws as read(), and http::Error 413 when it is
    /// longer than `limit`.
    Task<std::string> text(std::uint64_t limit = UINT64_MAX) const;
    Task<std::vector<std::byte>> bytes(std::uint64_t limit = UINT64_MAX) const;

private:
    detail::BodySource* source_ = nullptr;
};

/// Given to the producer of a streamed response. It holds until the producer returns.
class BodyWriter {
public:
    explicit BodyWriter(detail::BodySink& sink) noexcept : sink_(&sink) {}

    /// Sends the bytes and returns when the kernel has taken them: a client that reads slowly slows the producer down.
    /// Throws std::system_error when the client is gone or stalls, std::length_error past a declared length.
    Task<> write(std::string_view bytes) { return sink_->write_chunk(bytes); }

    /// Whether the server is stopping: it waits for the producer to return, so an endless body should end now.
    bool draining() const noexcept { return sink_->draining(); }

    /// Returns when draining(), for a producer that waits for something else meanwhile:
    /// `co_await (news.receive() || out.until_draining())` (asio::experimental::awaitable_operators).
    [[nodiscard]] Task<> until_draining() const { return sink_->until_draining(); }

    /// Whether the server, once it is stopping, ends the producer by itself: whatever it waits for is cancelled, what
    /// it writes is still sent whole, and the body is complete then. Off for stream(), on for events().
    void end_at_drain(bool wanted = true) { sink_->end_at_drain(wanted); }

private:
    detail::BodySink* sink_;
};

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/body.ipp>
#endif

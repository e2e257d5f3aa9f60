// SPDX-License-Identifier: MIT
// Bodies as they come and go: the reader of a request's, the writer of a streamed response's (layer 1).
#pragma once

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

private:
    detail::BodySink* sink_;
};

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/body.ipp>
#endif

// SPDX-License-Identifier: MIT
// A request as the handler sees it (layer 1).
#pragma once

#include <cohort/http/body.hpp>
#include <cohort/http/fields.hpp>
#include <cohort/http/form.hpp>
#include <cohort/http/method.hpp>
#include <cohort/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cohort::http {

namespace detail {
class RouteTable;

/// Values that a pattern captured, raw, with the names the pattern gave them.
struct RouteParameters {
    struct Parameter {
        std::string_view name;
        std::string_view value;
    };
    std::vector<Parameter> list;
};

/// What the server knows of a request beyond its bytes.
class RequestContext {
public:
    virtual std::string_view client_address() = 0;
    virtual void extend_deadline(std::chrono::milliseconds by) = 0;
    virtual bool draining() const noexcept = 0;
    virtual Task<> until_draining() = 0;

protected:
    ~RequestContext() = default;
};
} // namespace detail

/// The head of a request, checked and split. A connection reuses its one Request: it, and every view that comes from
/// it, is valid until the handler's task ends. Copy to a std::string what must live longer.
class Request {
public:
    Request() = default;
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    Method method() const noexcept { return method_; }

    /// As it stands in the request line: "/a%20b?x=1", "http://host/a", "*".
    std::string_view target() const noexcept { return view(target_begin_, target_size_); }

    /// The path of the target, not decoded: "/a%20b"; "/" when an absolute target has none; "*" for `OPTIONS *`.
    std::string_view path() const noexcept { return path_size_ == 0 ? "/" : view(path_begin_, path_size_); }

    /// What follows the '?', not decoded, or nothing: "x=1".
    std::string_view query() const noexcept { return view(query_begin_, query_size_); }

    /// The decoded value of the first parameter of that name in the query ("" when it has none: "?verbose").
    std::optional<std::string> query(std::string_view name) const;

    /// All parameters of the query, decoded.
    Form query_form() const;

    /// The decoded value that the router's pattern captured under that name.
    std::optional<std::string> param(std::string_view name) const;

    /// What the pattern captured last, not decoded: that of `*rest`. Without captures the whole path, without one slash
    /// at either end.
    std::string_view rest() const noexcept;

    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    int version_minor() const noexcept { return version_minor_; }

    const Fields& fields() const noexcept { return fields_; }

    /// The value of the first field of that name, without regard to case; fields() has all of a repeated one, in order.
    /// For "host" it is the authority of the target, when that has one.
    std::optional<std::string_view> header(std::string_view name) const noexcept { return fields_.get(name); }

    /// The value of the first cookie of that name, not decoded, without quotes around it.
    std::optional<std::string_view> cookie(std::string_view name) const noexcept;

    /// The media type of the body without its parameters: "text/html" of "text/html; charset=utf-8"; "" when there is
    /// none. Media types have no case: compare with is("text/html").
    std::string_view content_type() const noexcept;
    bool is(std::string_view media_type) const noexcept;

    /// Whether the client wants to use the connection again (RFC 9112 section 9.3).
    bool keep_alive() const noexcept { return keep_alive_; }

    /// The protocols that the client offers to switch to (RFC 9110 section 7.8), as in "websocket"; nothing without
    /// `Connection: upgrade`, or in HTTP/1.0.
    std::optional<std::string_view> upgrade() const noexcept;

    /// The client's address: "192.0.2.1", "2001:db8::1", "unix:" on a Unix socket; that of the PROXY header when the
    /// server reads them; "" outside a server.
    std::string_view client_address() const { return context_ != nullptr ? context_->client_address() : ""; }

    /// Gives the handler this much time from now on, in place of what is left of ServerOptions::handler_timeout.
    void extend_deadline(std::chrono::milliseconds by) const {
        if (context_ != nullptr) context_->extend_deadline(by);
    }

    /// Whether the server is stopping: it waits for the handlers that are under way.
    bool draining() const noexcept { return context_ != nullptr && context_->draining(); }

    /// Returns when draining(), for a handler that waits long for something else:
    /// `co_await (news.receive() || request.until_draining())` (asio::experimental::awaitable_operators).
    [[nodiscard]] Task<> until_draining() const {
        return context_ != nullptr ? context_->until_draining() : detail::wait_for_ever();
    }

    /// The declared length of the body; nothing when it comes in chunks.
    std::optional<std::uint64_t> content_length() const noexcept {
        return chunked_ ? std::nullopt : std::optional{content_length_};
    }

    bool has_body() const noexcept { return chunked_ || content_length_ != 0; }

    /// The reader of the body. All of its copies read the same stream.
    Body body() const noexcept { return Body{source_}; }

    /// The whole body, at most `limit` bytes of it: more is http::Error 413, before any of it is read when its length
    /// is declared. Throws as Body::read.
    Task<std::string> text(std::uint64_t limit = UINT64_MAX) const;
    Task<std::vector<std::byte>> bytes(std::uint64_t limit = UINT64_MAX) const;

    /// The body as a form, application/x-www-form-urlencoded: http::Error 415 for any other type, 413 for more than
    /// `most` names. Throws as Body::read.
    Task<Form> form(std::size_t most = 1000) const;

    /// Where body() reads from; for servers and tests.
    void set_body_source(detail::BodySource* source) noexcept { source_ = source; }
    /// What client_address() and extend_deadline() ask; likewise.
    void set_context(detail::RequestContext* context) noexcept { context_ = context; }

private:
    friend class RequestParser;
    friend class detail::RouteTable;

    /// The head lies whole in the text of the fields; the parts are offsets, which stay true when the text grows.
    std::string_view view(std::uint32_t begin, std::uint32_t size) const noexcept {
        return std::string_view{fields_.text_}.substr(begin, size);
    }

    void refuse_beyond(std::uint64_t limit) const;

    Fields fields_;
    detail::BodySource* source_ = nullptr;
    detail::RequestContext* context_ = nullptr;
    mutable detail::RouteParameters parameters_;
    std::uint64_t content_length_ = 0;
    std::uint32_t target_begin_ = 0, target_size_ = 0;
    std::uint32_t path_begin_ = 0, path_size_ = 0;
    std::uint32_t query_begin_ = 0, query_size_ = 0;
    Method method_ = Method::get;
    std::uint8_t version_minor_ = 1;
    bool keep_alive_ = true;
    bool chunked_ = false;
    bool expects_continue_ = false;
};

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/request.ipp>
#endif

// SPDX-License-Identifier: MIT
// What a handler answers, and short ways to make it (layer 1).
#pragma once

#include <cohort/http/body.hpp>
#include <cohort/http/cookie.hpp>
#include <cohort/http/fields.hpp>
#include <cohort/http/status.hpp>
#include <cohort/http/upgraded.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cohort::http {

/// Writes a streamed body. When it returns the body is complete; when it throws the connection is cut, so that the
/// client notices. It is called after the handler has ended, and not at all for HEAD.
using Producer = std::function<Task<>(BodyWriter&)>;

/// A status, fields and a body. The server adds Date, Content-Length or Transfer-Encoding, and Connection; framing
/// fields that a handler sets itself are dropped, except that `Connection: close` is honoured.
class Response {
public:
    Response() = default;
    explicit Response(int status) noexcept : status_(status) {}
    Response(int status, std::string body) noexcept : status_(status), body_(std::move(body)) {}

    int status() const noexcept { return status_; }
    Response& status(int status) noexcept { return status_ = status, *this; }

    const Fields& fields() const noexcept { return fields_; }
    Fields& fields() noexcept { return fields_; }

    /// Adds a field, or replaces those of that name. Both throw std::invalid_argument for a bad name or value, see
    /// Fields.
    Response& add(std::string_view name, std::string_view value) { return fields_.add(name, value), *this; }
    Response& set(std::string_view name, std::string_view value) { return fields_.set(name, value), *this; }

    /// Has the client remember something: one more Set-Cookie field. Throws std::invalid_argument, see
    /// to_string(Cookie).
    Response& set_cookie(const Cookie& cookie);

    /// Has the client forget a cookie. Path and domain must be those with which it was set.
    Response& clear_cookie(std::string_view name, std::string_view path = "/", std::string_view domain = {});

    const std::string& body() const noexcept { return body_; }
    Response& body(std::string body) noexcept { return body_ = std::move(body), *this; }

    /// Streams the body. With a length the producer must write exactly that many bytes (else the connection is cut);
    /// without one it is sent in chunks, and to an HTTP/1.0 client until the connection closes.
    Response& stream(Producer producer, std::optional<std::uint64_t> length = std::nullopt);

    bool streamed() const noexcept { return static_cast<bool>(producer_); }
    const Producer& producer() const noexcept { return producer_; }
    std::optional<std::uint64_t> length() const noexcept {
        return producer_ ? length_ : std::optional<std::uint64_t>{body_.size()};
    }

    /// Switches to another protocol (status 101). See http::upgrade.
    Response& upgrade(std::string_view protocol, Takeover takeover);
    const Takeover* takeover() const noexcept { return takeover_.get(); }

    /// The Content-Type to send when the fields have none. The text must be a literal, or live as long as one.
    Response& default_type(std::string_view literal) noexcept { return default_type_ = literal, *this; }
    std::string_view default_type() const noexcept { return default_type_; }

private:
    int status_ = 200;
    std::string_view default_type_;
    std::string body_;
    Fields fields_;
    Producer producer_;
    std::optional<std::uint64_t> length_;
    std::shared_ptr<const Takeover> takeover_;
};

/// 200 with plain text in UTF-8.
Response text(std::string body);

/// 200 with HTML in UTF-8.
Response html(std::string body);

/// 200 with a text that is JSON already.
Response json(std::string body);

/// 200 with a body that `producer` writes, of `length` bytes when that is known.
Response stream(Producer producer, std::optional<std::uint64_t> length = std::nullopt);

/// 101: once this is sent, `takeover` gets the connection. A client that has not offered to switch (Request::upgrade)
/// gets 426 instead, which names the protocol.
///
///     co_return http::upgrade("websocket", chat).set("Sec-WebSocket-Accept", proof);
Response upgrade(std::string_view protocol, Takeover takeover);

/// The code with its phrase as the text; no body for 1xx, 204, 205 and 304.
Response status(int code);

/// Sends the client elsewhere: 302 by default; 301 and 308 for good, 303 to a GET, 307 with the same method.
/// Throws std::invalid_argument when the location holds a control character.
Response redirect(std::string_view location, int code = 302);

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/response.ipp>
#endif

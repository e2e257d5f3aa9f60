// SPDX-License-Identifier: MIT
// A certificate that is made for the test, and a client that speaks TLS; every wait has a deadline.
#pragma once

#include "support/folder.hpp"
#include "support/http_client.hpp"

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace test {

/// For localhost, signed by itself, valid for an hour; in two files of a folder of its own.
class Certificate {
public:
    Certificate();

    std::string chain() const;
    std::string key() const;

private:
    Folder folder_;
};

class TlsClient {
public:
    /// Connects, and shakes hands after it has sent `before` in plain text. `protocols`: ALPN in wire form.
    explicit TlsClient(unsigned short port, std::string_view before = "", std::string_view protocols = "",
                       int newest = 0, SSL_SESSION* session = nullptr);
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;
    ~TlsClient();

    bool is_secure() const noexcept { return is_secure_; }
    /// What another client can resume; with TLS 1.3 it comes with the first response.
    std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> session() const;
    bool is_resumed() const noexcept { return SSL_session_reused(ssl_.get()) == 1; }
    std::string protocol() const;

    TlsClient& send(std::string_view bytes);
    /// Up to `size` bytes, fewer at the end of the stream.
    std::string take(std::size_t size);
    /// The next response, which has a Content-Length.
    std::string response();
    /// How many bytes are here and have not been taken.
    std::size_t arrived() const;
    /// Whether the server said that nothing more comes (RFC 8446 section 6.1), before it closed.
    bool was_told() const noexcept;
    void say_goodbye();
    /// What OpenSSL says of the end of what was read; empty: nothing, as when the connection was reset.
    const std::string& reason() const noexcept { return reason_; }

private:
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
    int socket_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
    bool is_secure_ = false;
    bool broken_ = false;
    std::string reason_;
};

} // namespace test

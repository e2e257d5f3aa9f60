// SPDX-License-Identifier: MIT
// The bodies of tls.hpp (layer 3).
#pragma once

#include <cohort/http/tls.hpp>

#include <cohort/detail/config.hpp>

#include <asio/buffer.hpp>
#include <asio/redirect_error.hpp>
#include <asio/ssl/error.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/use_awaitable.hpp>

#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/socket.h>

namespace cohort::http::detail {

/// What lies below TLS. Like ConnectionStream it says each time that it does not wait: O_NONBLOCK is shared with
/// whoever had the connection before.
class NeverWaiting {
public:
    using lowest_layer_type = Socket::lowest_layer_type;
    using executor_type = Socket::executor_type;

    explicit NeverWaiting(Socket& socket) noexcept : socket_(socket) {}

    executor_type get_executor() noexcept { return socket_.get_executor(); }
    lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }
    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return socket_.async_receive(buffers, MSG_DONTWAIT, std::forward<Token>(token));
    }
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return socket_.async_send(buffers, MSG_DONTWAIT, std::forward<Token>(token));
    }

private:
    Socket& socket_;
};

/// TLS on one socket, by Asio and OpenSSL.
class TlsLayer final : public StreamLayer {
public:
    TlsLayer(Socket& socket, asio::ssl::context& context) : stream_(socket, context) {}

    Task<> open(std::string_view received, std::error_code& error) override;
    Task<std::size_t> read_some(asio::mutable_buffer space, std::error_code& error) override;
    Task<std::size_t> write_some(asio::const_buffer bytes, std::error_code& error) override {
        return stream_.async_write_some(bytes, asio::redirect_error(asio::use_awaitable, error));
    }
    Task<> close(std::error_code& error) override {
        return stream_.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
    }

private:
    asio::ssl::stream<NeverWaiting> stream_;
};

COHORT_DECL Task<> TlsLayer::open(std::string_view received, std::error_code& error) {
    co_await stream_.async_handshake(asio::ssl::stream_base::server, asio::buffer(received.data(), received.size()),
                                     asio::redirect_error(asio::use_awaitable, error));
}

COHORT_DECL Task<std::size_t> TlsLayer::read_some(asio::mutable_buffer space, std::error_code& error) {
    const std::size_t count = co_await stream_.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
    // A missing close_notify (truncation attack) is harmless: HTTP knows where its messages end.
    if (error == asio::ssl::error::stream_truncated) error = asio::error::eof;
    co_return count;
}

/// ALPN (RFC 7301): HTTP/1.1 when the client offers it; one that offers only others is refused.
COHORT_DECL int choose_http_1_1(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                                unsigned offered_size, void*) noexcept {
    static constexpr unsigned char ours[] = "\x08http/1.1";
    unsigned char* match = nullptr;
    const int result = SSL_select_next_proto(&match, size, ours, sizeof ours - 1, offered, offered_size);
    *chosen = match;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

COHORT_DECL std::unique_ptr<StreamLayer> make_tls_layer(Socket& socket, asio::ssl::context& context) {
    return std::make_unique<TlsLayer>(socket, context);
}

} // namespace cohort::http::detail

namespace cohort::http {

COHORT_DECL asio::ssl::context tls_context(const std::string& chain_file, const std::string& key_file) {
    asio::ssl::context context(asio::ssl::context::tls_server);
    context.use_certificate_chain_file(chain_file);
    context.use_private_key_file(key_file, asio::ssl::context::pem);
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);
    // Without it a session whose client was asked for a certificate cannot be resumed (SSL_CTX_set_session_id_context).
    static constexpr unsigned char id[] = "cohort";
    SSL_CTX_set_session_id_context(context.native_handle(), id, sizeof id - 1);
    SSL_CTX_set_alpn_select_cb(context.native_handle(), &detail::choose_http_1_1, nullptr);
    return context;
}

} // namespace cohort::http

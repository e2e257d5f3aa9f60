// SPDX-License-Identifier: MIT
// HTTPS: connections that speak TLS, by OpenSSL; a program that includes this links it (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/http/detail/serve/stream_layer.hpp>
#include <cohort/task.hpp>

#include <asio/redirect_error.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/use_awaitable.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace cohort::http {

namespace detail {

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
    asio::ssl::stream<Socket&> stream_;
};

/// ALPN (RFC 7301): HTTP/1.1 when the client offers it; one that offers only others is refused.
int choose_http_1_1(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) noexcept;

} // namespace detail

/// A context as a server wants it: TLS 1.2 and newer, without renegotiation, with HTTP/1.1 by ALPN, and with this
/// certificate (a chain in PEM) and its key. Throws std::system_error when a file cannot be read or they do not fit
/// together. A reload of the workers reads them anew.
asio::ssl::context tls_context(const std::string& chain_file, const std::string& key_file);

/// The connections of another acceptor, over TLS: for http::serve. Both arguments outlive it. A connection that the
/// worker has when it leaves is closed after its response: what TLS knows of it cannot go to another process. Client
/// certificates and other choices: asio::ssl::context.
///
///     auto listener = co_await self.listen(443);
///     auto context = http::tls_context("chain.pem", "key.pem");
///     http::TlsAcceptor secure(listener, context);
///     co_await http::serve(self, secure, hello);
template <Acceptor A>
class TlsAcceptor {
public:
    TlsAcceptor(A& acceptor, asio::ssl::context& context) noexcept : acceptor_(&acceptor), context_(&context) {}

    Task<std::optional<Socket>> accept() { return acceptor_->accept(); }
    bool stopping() const
        requires requires(const A& acceptor) { acceptor.stopping(); }
    {
        return acceptor_->stopping();
    }

    std::unique_ptr<detail::StreamLayer> make_layer(Socket& socket) const {
        return std::make_unique<detail::TlsLayer>(socket, *context_);
    }

private:
    A* acceptor_;
    asio::ssl::context* context_;
};

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/tls.ipp>
#endif

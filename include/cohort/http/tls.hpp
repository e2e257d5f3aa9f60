// SPDX-License-Identifier: MIT
// HTTPS: connections that speak TLS, by OpenSSL; a program that includes this links it (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/http/detail/serve/stream_layer.hpp>
#include <cohort/task.hpp>

#include <asio/ssl/context.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace cohort::http {

namespace detail {

/// For one connection; both outlive it.
std::unique_ptr<StreamLayer> make_tls_layer(Socket& socket, asio::ssl::context& context);

} // namespace detail

/// A context as a server wants it: TLS 1.2 and newer, without renegotiation, with HTTP/1.1 by ALPN, and with this
/// certificate (a chain in PEM) and its key. Throws std::system_error when a file cannot be read or they do not fit
/// together. A reload of the workers reads them anew.
///
/// Each context has ticket keys of its own: a session is resumed by the worker that has issued it; with any other the
/// client makes a full handshake. SSL_CTX_set_tlsext_ticket_keys(3), with keys made before the first worker, lets all
/// resume it; contexts that ask for other client certificates must not share them.
asio::ssl::context tls_context(const std::string& chain_file, const std::string& key_file);

/// The connections of another acceptor, over TLS: for http::serve. Both arguments outlive it. TLS state cannot be
/// handed to another process, so when the worker leaves and others go on, each client is told with its next response to
/// come back on a new connection (ServerOptions::farewell_timeout). Client certificates and other settings:
/// asio::ssl::context.
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

    std::chrono::milliseconds patience() const
        requires requires(const A& acceptor) { acceptor.patience(); }
    {
        return acceptor_->patience();
    }

    std::unique_ptr<detail::StreamLayer> make_layer(Socket& socket) const {
        return detail::make_tls_layer(socket, *context_);
    }

private:
    A* acceptor_;
    asio::ssl::context* context_;
};

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/tls.ipp>
#endif

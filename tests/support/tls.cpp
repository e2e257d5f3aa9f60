// SPDX-License-Identifier: MIT
#include "tls.hpp"

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace test {

namespace {

template <class F>
void write(const std::string& path, F to) {
    std::FILE* const file = std::fopen(path.c_str(), "w");
    REQUIRE(file != nullptr);
    CHECK(to(file) == 1);
    CHECK(std::fclose(file) == 0);
}

} // namespace

Certificate::Certificate() {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
    REQUIRE((key && certificate));
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_NAME* const name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1,
                               0);
    X509_set_issuer_name(certificate.get(), name);
    X509_set_pubkey(certificate.get(), key.get());
    REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) != 0);
    write(chain(), [&](std::FILE* file) { return PEM_write_X509(file, certificate.get()); });
    write(this->key(), [&](std::FILE* file) {
        return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
}

std::string Certificate::chain() const { return folder_ / "chain.pem"; }

std::string Certificate::key() const { return folder_ / "key.pem"; }

TlsClient::TlsClient(unsigned short port, std::string_view before, std::string_view protocols, int newest,
                     SSL_SESSION* session)
    : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free),
      socket_(connect_locally(port, std::chrono::seconds(10))),
      ssl_(SSL_new(context_.get()), &SSL_free) {
    REQUIRE(socket_ >= 0);
    REQUIRE(::send(socket_, before.data(), before.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(before.size()));
    if (session != nullptr) SSL_set_session(ssl_.get(), session);
    if (newest != 0) SSL_set_max_proto_version(ssl_.get(), newest);
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
    SSL_set_fd(ssl_.get(), socket_);
    is_secure_ = SSL_connect(ssl_.get()) == 1;
}

TlsClient::~TlsClient() { ::close(socket_); }

std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> TlsClient::session() const {
    return {SSL_get1_session(ssl_.get()), &SSL_SESSION_free};
}

std::string TlsClient::protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return std::string(reinterpret_cast<const char*>(name), size);
}

TlsClient& TlsClient::send(std::string_view bytes) {
    if (SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) <= 0) broken_ = true;
    return *this;
}

std::string TlsClient::take(std::size_t size) {
    std::string all;
    char bytes[16384];
    while (all.size() < size && !broken_) {
        const int count = SSL_read(ssl_.get(), bytes, static_cast<int>(std::min(sizeof bytes, size - all.size())));
        if (count > 0) all.append(bytes, static_cast<std::size_t>(count));
        broken_ = count <= 0;
        if (!broken_) continue;
        const char* const reason = ::ERR_reason_error_string(::ERR_peek_last_error());
        reason_ = reason == nullptr ? "" : reason;
    }
    return all;
}

std::string TlsClient::response() {
    std::string head;
    while (!head.ends_with("\r\n\r\n") && !broken_) head += take(1);
    const auto at = head.find("Content-Length: ");
    return at == head.npos ? head : head + take(std::stoul(head.substr(at + 16)));
}

std::size_t TlsClient::arrived() const {
    int bytes = 0;
    ::ioctl(socket_, FIONREAD, &bytes);
    return static_cast<std::size_t>(bytes);
}

bool TlsClient::was_told() const noexcept { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

void TlsClient::say_goodbye() { SSL_shutdown(ssl_.get()); }

} // namespace test

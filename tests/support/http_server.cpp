// SPDX-License-Identifier: MIT
#include "http_server.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>
#include <system_error>

#include <sys/socket.h>
#include <sys/time.h>

namespace test {

void be_idle() { std::this_thread::sleep_for(std::chrono::milliseconds(80)); }

TcpAcceptor::TcpAcceptor(asio::io_context& io) : acceptor_(io, {asio::ip::address_v4::loopback(), 0}) {}

Task<std::optional<Socket>> TcpAcceptor::accept() {
    std::error_code error;
    tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (failure) throw std::runtime_error("accept failed");
    if (error) co_return std::nullopt;
    co_return Socket(std::move(socket), connections_.enter(), state);
}

void TcpAcceptor::close() { acceptor_.close(); }

bool TcpAcceptor::stopping() const { return !acceptor_.is_open(); }

unsigned short TcpAcceptor::port() const { return acceptor_.local_endpoint().port(); }

HttpServerBase::HttpServerBase() : port(acceptor_.port()) {}

void HttpServerBase::keep_log_of(http::ServerOptions& options) {
    options.log = [this](std::string_view message) {
        const std::lock_guard lock(mutex_);
        log_.append(message).append("\n");
    };
}

void HttpServerBase::begin(Task<> serving) {
    const auto note_end = [this](const std::exception_ptr& failure) {
        failed = failure != nullptr;
        ended = true;
        promise_.set_value();
    };
    asio::co_spawn(io_, std::move(serving), asio::bind_cancellation_slot(cancel_.slot(), note_end));
    thread_ = std::thread([this] {
        try {
            io_.run();
        } catch (const std::bad_alloc&) {
            std::_Exit(out_of_memory);
        }
    });
}

void HttpServerBase::end(std::function<void()> release) {
    if (!ended.load()) stop();
    CHECK(finished());
    post(std::move(release));
    thread_.join();
}

void HttpServerBase::stop() {
    post([this] { acceptor_.close(); });
}

void HttpServerBase::fail() {
    post([this] {
        acceptor_.failure = true;
        acceptor_.close();
    });
}

void HttpServerBase::cancel() {
    post([this] { cancel_.emit(asio::cancellation_type::terminal); });
}

bool HttpServerBase::finished() { return done_.wait_for(std::chrono::seconds(5)) == std::future_status::ready; }

bool HttpServerBase::ends(std::uint64_t n) {
    return eventually([this, n] { return acceptor_.counters.ended == n; });
}

bool HttpServerBase::begins(std::uint64_t n) {
    return eventually([this, n] { return acceptor_.counters.begun == n; });
}

std::uint64_t HttpServerBase::begun() const { return acceptor_.counters.begun; }

bool HttpServerBase::has(std::uint32_t n) {
    return eventually([this, n] { return acceptor_.counters.open == n; });
}

void HttpServerBase::hand_in(std::string state) {
    post([this, state = std::move(state)] { acceptor_.state = state; });
}

void HttpServerBase::post(std::function<void()> action) { asio::post(io_, std::move(action)); }

std::string HttpServerBase::log() {
    const std::lock_guard lock(mutex_);
    return log_;
}

RawClient::RawClient(unsigned short port) : socket_(io_) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    const timeval deadline{5, 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
}

RawClient& RawClient::send(std::string_view bytes) {
    sends(bytes);
    return *this;
}

bool RawClient::sends(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

void RawClient::send_end() {
    std::error_code ignored; // the server may have closed already
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

std::string RawClient::rest() {
    while (more()) {
    }
    return std::move(buffer_);
}

std::string RawClient::response(bool has_body) {
    while (buffer_.find("\r\n\r\n") == std::string::npos && more()) {
    }
    std::size_t size = buffer_.find("\r\n\r\n");
    if (size == std::string::npos) return std::move(buffer_);
    size += 4;
    const std::size_t at = buffer_.find("Content-Length: ");
    if (has_body && at < size) size += std::stoul(buffer_.substr(at + 16));
    return take(size);
}

std::string RawClient::take(std::size_t size) {
    while (buffer_.size() < size && more()) {
    }
    std::string taken = buffer_.substr(0, size);
    buffer_.erase(0, taken.size());
    return taken;
}

bool RawClient::more() {
    char bytes[16384];
    const ssize_t count = ::recv(socket_.native_handle(), bytes, sizeof bytes, 0);
    if (count > 0) buffer_.append(bytes, static_cast<std::size_t>(count));
    if (count < 0) buffer_.append(errno == EAGAIN ? "(timeout)" : "(reset)");
    return count > 0;
}

std::string get(std::string_view path, std::string_view fields) {
    return "GET " + std::string{path} + " HTTP/1.1\r\nHost: h\r\n" + std::string{fields} + "\r\n";
}

std::string post(std::string_view path, std::string_view body, std::string_view fields) {
    return "POST " + std::string{path} + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + std::string{fields} + "\r\n" + std::string{body};
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

bool closes(const std::string& response) { return has(response, "\r\nConnection: close\r\n"); }

std::string status_of(const std::string& response) { return response.substr(0, response.find('\r')); }

std::string body_of(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }

} // namespace test

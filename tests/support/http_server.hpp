// SPDX-License-Identifier: MIT
// An HTTP server in this process, and a client that says exactly what the test wants it to say.
#pragma once

#include <cohort/detail/control/connection_count.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/http/serve.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <sys/socket.h>
#include <sys/time.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace test {

using namespace cohort;
using asio::ip::tcp;

/// Whether this is so, or becomes so within the deadline; for what no event tells of.
template <class Predicate>
bool eventually(Predicate is_so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!is_so() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return is_so();
}

/// Longer than the `park_after` of tests, which is 20 to 30 ms: then only the socket is left of a connection. That this
/// has happened nobody can see, and where it has not, the test still has to pass.
inline void be_idle() { std::this_thread::sleep_for(std::chrono::milliseconds(80)); }

class TcpAcceptor {
public:
    explicit TcpAcceptor(asio::io_context& io) : acceptor_(io, {asio::ip::address_v4::loopback(), 0}) {}

    Task<std::optional<Socket>> accept() {
        std::error_code error;
        tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (failure) throw std::runtime_error("accept failed");
        if (error) co_return std::nullopt;
        co_return Socket(std::move(socket), connections_.enter(), state);
    }

    void close() { acceptor_.close(); }
    bool stopping() const { return !acceptor_.is_open(); }
    unsigned short port() const { return acceptor_.local_endpoint().port(); }

    bool failure = false;
    std::string state; ///< of connections that come
    detail::WorkerCell counters{};

private:
    tcp::acceptor acceptor_;
    detail::ConnectionCount connections_{counters, [] {}};
};

/// http::serve on a thread of its own. `App` is made with the io_context, and outlives the server.
template <class App>
class HttpServer {
public:
    using Serve = Task<> (*)(App&, TcpAcceptor&, http::ServerOptions);
    static constexpr int out_of_memory = 3; ///< the process ends so when Asio itself is

    explicit HttpServer(Serve serve, http::ServerOptions options = {}) : acceptor_(io_), app(io_) {
        options.log = [this](std::string_view message) {
            const std::lock_guard lock(mutex_);
            log_.append(message).append("\n");
        };
        port = acceptor_.port();
        asio::co_spawn(io_, serve(app, acceptor_, std::move(options)),
                       asio::bind_cancellation_slot(cancel_.slot(), Done{this}));
        thread_ = std::thread([this] { run(); });
    }

    ~HttpServer() {
        if (!ended.load()) stop();
        CHECK(finished());
        asio::post(io_, [this] { app.release(); });
        thread_.join();
    }

    /// The acceptor has no more connections.
    void stop() {
        asio::post(io_, [this] { acceptor_.close(); });
    }

    /// Accepting fails.
    void fail() {
        asio::post(io_, [this] {
            acceptor_.failure = true;
            acceptor_.close();
        });
    }

    void cancel() {
        asio::post(io_, [this] { cancel_.emit(asio::cancellation_type::terminal); });
    }

    /// Whether serve() returns within the deadline.
    bool finished() { return done_.wait_for(std::chrono::seconds(5)) == std::future_status::ready; }

    /// Whether so many requests have ended, or do so within the deadline.
    bool ends(std::uint64_t n) {
        return eventually([this, n] { return acceptor_.counters.ended == n; });
    }
    /// The same of those that have begun.
    bool begins(std::uint64_t n) {
        return eventually([this, n] { return acceptor_.counters.begun == n; });
    }
    std::uint64_t begun() const { return acceptor_.counters.begun; }

    /// Whether it has so many connections, or does so within the deadline.
    bool has(std::uint32_t n) {
        return eventually([this, n] { return acceptor_.counters.open == n; });
    }

    /// From now on connections come from another server, which says this of them.
    void hand_in(std::string state) {
        asio::post(io_, [this, state = std::move(state)] { acceptor_.state = state; });
    }

    /// Does something on the server's thread.
    template <class F>
    void post(F action) {
        asio::post(io_, std::move(action));
    }

    std::string log() {
        const std::lock_guard lock(mutex_);
        return log_;
    }

private:
    void run() {
        try {
            io_.run();
        } catch (const std::bad_alloc&) {
            std::_Exit(out_of_memory);
        }
    }

    struct Done {
        HttpServer* server;
        void operator()(const std::exception_ptr& failure) const {
            server->failed = failure != nullptr;
            server->ended = true;
            server->promise_.set_value();
        }
    };

    asio::io_context io_{1};
    TcpAcceptor acceptor_;
    asio::cancellation_signal cancel_;
    std::promise<void> promise_;
    std::future<void> done_ = promise_.get_future();
    std::mutex mutex_;
    std::string log_;
    std::thread thread_;

public:
    App app;
    std::atomic<bool> failed = false;
    std::atomic<bool> ended = false;
    unsigned short port = 0;
};

/// A blocking client that sends and receives bytes; every wait has a deadline.
class RawClient {
public:
    explicit RawClient(unsigned short port) : socket_(io_) {
        socket_.connect({asio::ip::address_v4::loopback(), port});
        const timeval deadline{5, 0};
        ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
        ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
    }

    RawClient& send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t count = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0) break;
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        return *this;
    }

    void send_end() {
        std::error_code ignored; // the server may have closed already
        socket_.shutdown(tcp::socket::shutdown_send, ignored);
    }

    /// Everything until the server closes; "(reset)" or "(timeout)" at the end when it does not.
    std::string rest() {
        while (more()) {
        }
        return std::move(buffer_);
    }

    /// The next response, with its body if it has a Content-Length.
    std::string response(bool has_body = true) {
        while (buffer_.find("\r\n\r\n") == std::string::npos && more()) {
        }
        std::size_t size = buffer_.find("\r\n\r\n");
        if (size == std::string::npos) return std::move(buffer_);
        size += 4;
        const std::size_t at = buffer_.find("Content-Length: ");
        if (has_body && at < size) size += std::stoul(buffer_.substr(at + 16));
        return take(size);
    }

    std::string take(std::size_t size) {
        while (buffer_.size() < size && more()) {
        }
        std::string taken = buffer_.substr(0, size);
        buffer_.erase(0, taken.size());
        return taken;
    }

private:
    bool more() {
        char bytes[16384];
        const ssize_t count = ::recv(socket_.native_handle(), bytes, sizeof bytes, 0);
        if (count > 0) buffer_.append(bytes, static_cast<std::size_t>(count));
        if (count < 0) buffer_.append(errno == EAGAIN ? "(timeout)" : "(reset)");
        return count > 0;
    }

    asio::io_context io_;
    tcp::socket socket_;
    std::string buffer_;
};

inline std::string get(std::string_view path, std::string_view fields = "") {
    return "GET " + std::string{path} + " HTTP/1.1\r\nHost: h\r\n" + std::string{fields} + "\r\n";
}

inline std::string post(std::string_view path, std::string_view body, std::string_view fields = "") {
    return "POST " + std::string{path} + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + std::string{fields} + "\r\n" + std::string{body};
}

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
inline bool closes(const std::string& response) { return has(response, "\r\nConnection: close\r\n"); }
inline std::string status_of(const std::string& response) { return response.substr(0, response.find('\r')); }
inline std::string body_of(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }

} // namespace test

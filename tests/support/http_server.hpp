// SPDX-License-Identifier: MIT
// An HTTP server in this process, and a client that says exactly what the test wants it to say.
#pragma once

#include "process.hpp"

#include <cohort/detail/control/connection_count.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/http/serve.hpp>

#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace test {

using namespace cohort;
using asio::ip::tcp;

/// Longer than the `park_after` of tests, which is 20 to 30 ms: then only the socket is left of a connection. That this
/// has happened nobody can see, and where it has not, the test still has to pass.
void be_idle();

class TcpAcceptor {
public:
    explicit TcpAcceptor(asio::io_context& io);

    Task<std::optional<Socket>> accept();

    void close();
    bool stopping() const;
    unsigned short port() const;

    bool failure = false;
    std::string state; ///< of connections that come
    detail::WorkerCell counters{};

private:
    tcp::acceptor acceptor_;
    detail::RequestTable requests_{};
    detail::ConnectionCount connections_{counters, requests_, [] {}};
};

/// The part of HttpServer that is the same for all of them.
class HttpServerBase {
public:
    static constexpr int out_of_memory = 3; ///< the process ends so when Asio itself is

    HttpServerBase(const HttpServerBase&) = delete;
    HttpServerBase& operator=(const HttpServerBase&) = delete;

    /// The acceptor has no more connections.
    void stop();
    /// Accepting fails.
    void fail();
    void cancel();

    /// Whether serve() returns within the deadline.
    bool finished();
    /// Whether so many requests have ended, or do so within the deadline.
    bool ends(std::uint64_t n);
    /// The same of those that have begun.
    bool begins(std::uint64_t n);
    std::uint64_t begun() const;
    /// Whether it has so many connections, or does so within the deadline.
    bool has(std::uint32_t n);

    /// From now on connections come from another server, which says this of them.
    void hand_in(std::string state);
    /// Does something on the server's thread.
    void post(std::function<void()> action);
    std::string log();

protected:
    HttpServerBase();
    ~HttpServerBase() = default;

    void keep_log_of(http::ServerOptions& options);
    void begin(Task<> serving);
    /// `release`, on the server's thread, is to let go of what keeps it from ending.
    void end(std::function<void()> release);

    asio::io_context io_{1};
    TcpAcceptor acceptor_{io_};

private:
    asio::cancellation_signal cancel_;
    std::promise<void> promise_;
    std::future<void> done_ = promise_.get_future();
    std::mutex mutex_;
    std::string log_;
    std::thread thread_;

public:
    std::atomic<bool> failed = false;
    std::atomic<bool> ended = false;
    unsigned short port = 0;
};

/// http::serve on a thread of its own. `App` is made with the io_context, and outlives the server.
template <class App>
class HttpServer : public HttpServerBase {
public:
    using Serve = Task<> (*)(App&, TcpAcceptor&, http::ServerOptions);

    explicit HttpServer(Serve serve, http::ServerOptions options = {}) : app(io_) {
        keep_log_of(options);
        begin(serve(app, acceptor_, std::move(options)));
    }
    ~HttpServer() {
        end([this] { app.release(); });
    }

    App app;
};

/// A blocking client that sends and receives bytes; every wait has a deadline.
class RawClient {
public:
    explicit RawClient(unsigned short port);

    RawClient& send(std::string_view bytes);
    /// The same: whether the connection took all of it.
    bool sends(std::string_view bytes);

    void send_end();

    /// Everything until the server closes; "(reset)" or "(timeout)" at the end when it does not.
    std::string rest();

    /// The next response, with its body if it has a Content-Length.
    std::string response(bool has_body = true);

    std::string take(std::size_t size);
    /// How many bytes are here and have not been taken.
    std::size_t arrived() const { return socket_.available(); }

private:
    bool more();

    asio::io_context io_;
    tcp::socket socket_;
    std::string buffer_;
};

std::string get(std::string_view path, std::string_view fields = "");

std::string post(std::string_view path, std::string_view body, std::string_view fields = "");

/// Whether the one is answered for as long as more arrives for the other, which takes nothing, and longer.
template <class Client>
bool is_answered_beside(const Client& greedy, Client& other) {
    std::size_t before = 0;
    for (int answers = 0; answers != 20; ++answers) {
        if (!other.send(get("/")).response().starts_with("HTTP/1.1 200")) return false;
        if (std::exchange(before, greedy.arrived()) != greedy.arrived() || before == 0) answers = 0;
    }
    return true;
}

bool has(const std::string& text, std::string_view part);
bool closes(const std::string& response);
std::string status_of(const std::string& response);
std::string body_of(const std::string& response);

} // namespace test

// SPDX-License-Identifier: MIT
// The rules, as the server keeps them: each input sent over TCP, whole and so that the server reads single bytes.
#include <cohort/http/serve.hpp>

#include <support/http_rules.hpp>
#include <support/spawn.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

using namespace cohort;
using namespace std::chrono_literals;

namespace {

/// The two ends of a TCP connection over loopback.
struct TcpPair {
    TcpPair() {
        const detail::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        socklen_t size = sizeof address;
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const raw = reinterpret_cast<sockaddr*>(&address);
        REQUIRE(::bind(listener.get(), raw, size) == 0);
        REQUIRE(::listen(listener.get(), 1) == 0);
        REQUIRE(::getsockname(listener.get(), raw, &size) == 0);
        client = detail::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(client.get(), raw, size) == 0);
        server = detail::UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        const int on = 1;
        ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }

    detail::UniqueFd client;
    detail::UniqueFd server;
};

/// Yields one connection, and ends when it is told to.
class OneConnection {
public:
    OneConnection(asio::io_context& io, int socket)
        : gate_(io, asio::steady_timer::time_point::max()),
          socket_(std::in_place, io, asio::generic::stream_protocol(AF_INET, IPPROTO_TCP), socket) {}

    Task<std::optional<Socket>> accept() {
        std::optional<Socket> socket = std::exchange(socket_, std::nullopt);
        std::error_code ended;
        if (!socket) co_await gate_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
        co_return socket;
    }
    void close() { gate_.cancel(); }

private:
    asio::steady_timer gate_;
    std::optional<Socket> socket_;
};

/// What the handler has seen, in the words of HttpRule.
struct Seen {
    std::string text;
};

Task<http::Response> note(Seen& seen, const http::Request& request) {
    seen.text += std::string{to_string(request.method())} + " " + std::string{request.path()};
    if (!request.query().empty()) seen.text += "?" + std::string{request.query()};
    for (const http::Field field : request.fields())
        seen.text += "|" + std::string{field.name} + "=" + std::string{field.value};
    if (!request.keep_alive()) seen.text += " close";
    const std::string body = co_await request.body().text();
    if (!body.empty()) seen.text += " <" + body + ">";
    seen.text += ";";
    co_return http::text("ok");
}

/// A server and its one client, in one thread: the client does something, then the server whatever it can.
class Conversation {
public:
    explicit Conversation(const http::Limits& limits)
        : acceptor_(io_, pair_.server.get()), server_(pair_.server.release()) {
        test::spawn(io_, serve(*this, limits), [this](const std::exception_ptr& failure) {
            ended_ = true;
            CHECK_FALSE(failure);
        });
        io_.poll();
    }

    ~Conversation() {
        pair_.client.reset();
        acceptor_.close();
        for (const auto deadline = Clock::now() + 5s; !ended_ && Clock::now() < deadline;) io_.run_one_for(10ms);
        CHECK(ended_);
    }

    void send(std::string_view bytes) {
        if (::send(pair_.client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) reset_ = "(reset)";
        pollfd arrived{server_, POLLIN, 0};
        if (::poll(&arrived, 1, 5000) == 1 && arrived.revents == POLLNVAL) return; // the server has closed it
        for (int i = 0, unread = 1; unread != 0 && i != 1000; ++i) {
            io_.poll();
            if (::ioctl(server_, FIONREAD, &unread) != 0) return;
        }
    }

    void send_end() { ::shutdown(pair_.client.get(), SHUT_WR); }

    /// Everything until the server closes; "(reset)" or "(timeout)" at the end when it does not.
    std::string answers() {
        std::string all;
        for (const auto deadline = Clock::now() + 5s; Clock::now() < deadline;) {
            char bytes[4096];
            const ssize_t count = ::recv(pair_.client.get(), bytes, sizeof bytes, MSG_DONTWAIT);
            if (count > 0) all.append(bytes, static_cast<std::size_t>(count));
            if (count == 0) return all + reset_;
            if (count < 0 && errno != EAGAIN) return all + "(reset)";
            if (count < 0) io_.run_one_for(10ms);
        }
        return all + "(timeout)";
    }

    const std::string& seen() const { return seen_.text; }

private:
    using Clock = std::chrono::steady_clock;

    static Task<> serve(Conversation& self, http::Limits limits) {
        http::ServerOptions options;
        options.limits = limits;
        options.log = [](std::string_view) {};
        co_await http::serve(self.seen_, self.acceptor_, note, std::move(options));
    }

    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io_);
    TcpPair pair_;
    OneConnection acceptor_;
    int server_;
    Seen seen_;
    std::string reset_;
    bool ended_ = false;
};

/// "200 200 400 close." of well-formed answers that end with the connection; otherwise what is wrong.
std::string summary_of(std::string_view answers, bool may_continue) {
    std::string summary;
    while (!answers.empty()) {
        const std::size_t end = answers.find("\r\n\r\n");
        if (!answers.starts_with("HTTP/1.1 ") || end == answers.npos) return summary + std::string(answers);
        const std::string_view head = answers.substr(0, end + 2);
        answers.remove_prefix(end + 4);
        const std::string status(head.substr(9, 3));
        if (status == "100" && may_continue) continue; // if the handler began to read before the body came
        if (head.find("\r\nDate: ") == head.npos) summary += "no Date ";
        const std::size_t length = head.find("\r\nContent-Length: ");
        if (length == head.npos) return summary + "no length";
        answers.remove_prefix(std::min(answers.size(), std::stoul(std::string(head.substr(length + 18)))));
        summary += status + (head.find("\r\nConnection: close\r\n") == head.npos ? " " : " close ");
    }
    return summary + ".";
}

/// The answers to what a rule's input is.
std::string wanted_answers(const test::HttpRule& rule, std::string_view seen) {
    std::string wanted;
    for (const char c : seen)
        if (c == ';') wanted += "200 ";
    if (seen.ends_with(" close;") || seen.find(" close <") != seen.npos) wanted.insert(wanted.size() - 1, " close");
    if (rule.is_refused()) wanted += std::string(rule.seen.substr(rule.seen.size() - 3)) + " close ";
    if (rule.at_end != 0) wanted += std::to_string(rule.at_end) + " close ";
    return wanted + ".";
}

void check(const test::HttpRule& rule, std::size_t piece) {
    const std::string input = rule.input();
    std::string seen = rule.wanted();
    if (rule.is_refused()) seen.resize(seen.size() - 4);
    const std::size_t expects = seen.find(" expects");
    if (expects != seen.npos) seen.erase(expects, 8);
    CAPTURE(rule.words);
    CAPTURE(input.substr(0, 200));
    CAPTURE(piece);
    Conversation conversation(rule.limits());
    for (std::size_t at = 0; at < input.size(); at += std::min(piece, input.size()))
        conversation.send(std::string_view(input).substr(at, piece));
    const std::string wanted = wanted_answers(rule, seen);
    const bool server_closes = wanted.ends_with(" close .");
    if (!server_closes || rule.at_end != 0) conversation.send_end();
    CHECK(summary_of(conversation.answers(), expects != seen.npos) == wanted);
    CHECK(conversation.seen() == seen);
}

} // namespace

TEST_CASE("the server keeps every rule, wherever the bytes are split") {
    std::size_t piece = 1;
    SUBCASE("whole") { piece = std::string::npos; }
    SUBCASE("byte by byte") {}
    for (const test::HttpSection& section : test::http_rules()) {
        CAPTURE(section.name);
        // What is long is so by repetition, and bytes that are alike need not all come alone.
        for (const test::HttpRule& rule : section.rules)
            check(rule, rule.run > 1000 ? std::max<std::size_t>(piece, 37) : piece);
    }
}

TEST_CASE("how many rules there are") {
    std::size_t all = 0;
    for (const test::HttpSection& section : test::http_rules()) {
        const auto refused = std::count_if(section.rules.begin(), section.rules.end(),
                                           [](const auto& rule) { return rule.is_refused(); });
        MESSAGE(section.name << ": " << section.rules.size() << " rows, " << refused << " of them refused");
        all += section.rules.size();
    }
    MESSAGE("together: " << all << " rows");
    CHECK(all != 0);
}

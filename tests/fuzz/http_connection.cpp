// SPDX-License-Identifier: MIT
// A libFuzzer target: a whole server, whose one client sends what the input says. Handlers read some, all or nothing of
// what they get, stream, throw, and take the connection over. Whatever comes, in whatever pieces: the same handlers are
// called, the same bytes are answered, all of them well-formed, and the connection ends.
//
//     tests/fuzz/run.sh          builds all targets and runs them for a while
#include "http.hpp"

#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/http/serve.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

#include <sys/socket.h>

namespace fuzz {

namespace {

namespace http = cohort::http;
using cohort::Task;

/// Yields what the target gives it, and never ends.
class Door {
public:
    explicit Door(asio::io_context& io) : bell_(io, asio::steady_timer::time_point::max()) {}

    Task<std::optional<cohort::Socket>> accept() {
        std::error_code woken;
        while (!waiting_) co_await bell_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        std::optional<cohort::Socket> socket = std::move(waiting_);
        waiting_.reset();
        co_return socket;
    }
    void let_in(int descriptor) {
        waiting_.emplace(bell_.get_executor(), asio::generic::stream_protocol(AF_UNIX, 0), descriptor);
        bell_.cancel();
    }

private:
    asio::steady_timer bell_;
    std::optional<cohort::Socket> waiting_;
};

struct Called {
    std::string calls;             ///< what the handlers have seen
    std::vector<bool> head_only{}; ///< one for each call
    bool strict = false;           ///< nothing may be left unread of a body
};

/// A number that says what a text was, so that no answer looks like another answer's head.
std::string digest(std::string_view text) {
    std::uint32_t sum = 1;
    for (const unsigned char c : text) sum = (sum ^ c) * 16777619;
    return std::to_string(text.size()) + ":" + std::to_string(sum);
}

Task<> stream_some(http::BodyWriter& writer) {
    co_await writer.write("streamed,");
    co_await writer.write("in two");
}

Task<> stream_and_fail(http::BodyWriter& writer) {
    co_await writer.write("streamed");
    throw std::runtime_error("no more");
}

/// Answers with what it has got when the client ends.
Task<> take_over(http::Upgraded& stream) {
    std::string all;
    while (true) {
        const auto part = co_await stream.read();
        if (!part) break;
        all += *part;
    }
    co_await stream.write("taken over: " + digest(all));
}

Task<http::Response> answer(Called& called, const http::Request& request) {
    called.calls += digest(request.target());
    for (const http::Field field : request.fields()) called.calls += digest(field.name) + digest(field.value);
    called.head_only.push_back(request.method() == http::Method::head);
    const std::string_view path = request.path();
    // How much is left then depends on the pieces, and so does whether that is too much.
    if (path == "/part" && !called.strict) {
        const auto part = co_await request.body().read();
        co_return http::text(part ? "something" : "nothing");
    }
    if (path == "/throw") {
        if (!called.strict) co_await request.body().read();
        throw std::runtime_error("secret");
    }
    if (path == "/none") co_return http::text("none");
    if (path == "/memory") throw std::bad_alloc();
    if (path == "/fail") throw http::Error(418);
    if (path == "/stream") co_return http::stream(stream_some);
    if (path == "/stream15") co_return http::stream(stream_some, 15);
    if (path == "/stream16") co_return http::stream(stream_some, 16);
    if (path == "/broken") co_return http::stream(stream_and_fail);
    if (path == "/large") co_return http::text(std::string(70'000, 'l'));
    if (path == "/empty") co_return http::status(204);
    if (path == "/close") co_return http::text("bye").add("Connection", "close");
    if (path == "/bad") co_return http::text("x").add("A", "b\r\nEvil: yes");
    if (path == "/upgrade" && request.upgrade()) co_return http::Response(101).upgrade("echo", take_over);
    const std::string body = co_await request.body().text();
    called.calls += digest(body);
    co_return http::text(digest(body));
}

/// Made once, and used for every input.
class World {
public:
    explicit World(bool strict) : strict_(strict) {
        http::ServerOptions options;
        options.limits = test::small_limits();
        options.unread_bytes = strict ? 0 : 100'000;
        options.log = [](std::string_view) {};
        asio::co_spawn(io_, http::serve(called_, door_, answer, std::move(options)), asio::detached);
        io_.poll();
    }

    /// What the handlers have seen, and all that was answered.
    std::pair<Called, std::string> converse(Pieces pieces) {
        called_ = {.calls = {}, .strict = strict_};
        answers_.clear();
        auto [client, server] = cohort::detail::make_socketpair(SOCK_STREAM | SOCK_NONBLOCK);
        door_.let_in(server.release());
        io_.poll();
        while (!pieces.done()) {
            const std::string_view piece = pieces.next();
            static_cast<void>(::send(client.get(), piece.data(), piece.size(), MSG_NOSIGNAL));
            io_.poll();
        }
        ::shutdown(client.get(), SHUT_WR);
        require(reads_to_the_end(client.get()), "the connection ends when its client does");
        return {std::move(called_), std::move(answers_)};
    }

private:
    bool reads_to_the_end(int client) {
        char bytes[16384];
        while (true) {
            io_.poll();
            const ssize_t count = ::recv(client, bytes, sizeof bytes, 0);
            if (count <= 0) return count == 0 || errno != EAGAIN;
            answers_.append(bytes, static_cast<std::size_t>(count));
        }
    }

    asio::io_context io_{1};
    Door door_{io_};
    Called called_;
    std::string answers_;
    bool strict_;
};

std::size_t number_of(std::string_view head, std::string_view name) {
    const std::size_t at = head.find(name);
    std::size_t number = std::string_view::npos;
    if (at != head.npos) std::from_chars(head.data() + at + name.size(), head.data() + head.size(), number);
    return number;
}

/// Takes the body off: all there is, when the connection has ended inside it.
void take_chunks(std::string_view& answers) {
    while (!answers.empty()) {
        std::size_t size = 0;
        const auto end = std::from_chars(answers.data(), answers.data() + answers.size(), size, 16).ptr;
        answers.remove_prefix(static_cast<std::size_t>(end - answers.data()));
        if (answers.size() < size + 4) answers = {};
        if (answers.empty()) return;
        require(answers.starts_with("\r\n") && answers.substr(size + 2).starts_with("\r\n"), "chunks are well-formed");
        answers.remove_prefix(size + 4);
        if (size == 0) return;
    }
}

/// Every answer is one, and the last is the last. Gives them without what depends on the time of day, and without what
/// depends on whether the handler was faster than the body.
std::string checked(std::string_view answers, const Called& called) {
    std::string all;
    bool over = false;
    for (std::size_t number = 0; !answers.empty();) {
        require(!over, "nothing comes after Connection: close");
        require(answers.starts_with("HTTP/1.1 "), "an answer begins with a status line");
        const std::size_t end = answers.find("\r\n\r\n");
        require(end != answers.npos, "an answer has a whole head");
        const std::string_view head = answers.substr(0, end + 2);
        const std::string_view status = head.substr(9, 3);
        answers.remove_prefix(end + 4);
        if (status == "100") continue;
        require(head.find("Evil") == head.npos && head.find("secret") == head.npos, "nothing leaks into a head");
        const std::size_t date = head.find("\r\nDate: ");
        require(date != head.npos || status == "101", "an answer has a Date");
        all.append(head.substr(0, date));
        if (date != head.npos) all.append(head.substr(head.find("\r\n", date + 2)));
        if (status == "101") return all.append(answers);
        over = head.find("\r\nConnection: close\r\n") != head.npos;
        const bool head_only = number < called.head_only.size() && called.head_only[number];
        ++number;
        if (head_only || status == "204" || status == "304") continue;
        const std::string_view before = answers;
        const std::size_t length = number_of(head, "\r\nContent-Length: ");
        if (head.find("\r\nTransfer-Encoding: chunked\r\n") != head.npos)
            take_chunks(answers);
        else if (length == std::string_view::npos)
            answers = {};
        else
            answers.remove_prefix(std::min(length, answers.size()));
        all.append(before.substr(0, before.size() - answers.size()));
    }
    return all;
}

} // namespace

void run(Script script) {
    static World lenient(false);
    static World strict(true);
    const std::uint8_t setting = script.next();
    World& world = setting & 1 ? strict : lenient;
    const Pieces pieces(script, setting >> 1);
    const auto [whole_called, whole] = world.converse(Pieces::whole(script.rest()));
    const auto [cut_called, cut] = world.converse(pieces);
    require(cut_called.calls == whole_called.calls, "the same handlers are called wherever the bytes are split");
    require(checked(cut, cut_called) == checked(whole, whole_called), "the same bytes are answered");
}

std::vector<std::string> seeds() {
    std::vector<std::string> seeds = http_seeds();
    for (const std::string_view path : {"none", "part", "throw", "memory", "fail", "stream", "stream15", "stream16",
                                        "broken", "large", "empty", "close", "bad", "upgrade", "all"})
        for (const std::string_view head : {"GET", "HEAD", "POST"}) {
            std::string seed("\x04\x01\x20");
            seed.append(head).append(" /").append(path).append(" HTTP/1.1\r\nHost: h\r\n");
            if (path == "upgrade") seed.append("Connection: upgrade\r\nUpgrade: echo\r\n");
            if (head == "POST") seed.append("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n");
            seed.append("\r\nGET /")
                .append(path)
                .append(" HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc");
            seeds.push_back(std::move(seed));
        }
    return seeds;
}

} // namespace fuzz

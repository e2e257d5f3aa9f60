// What does a body of 1 GiB take of the server's memory? Up and down, with a length and in chunks.
// Run:    large_bodies [--mib 1024]
// Expect: a few MiB of growth at its peak, whatever the size; exit code 1 otherwise.
#include <cohort/http/serve.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace cohort;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

namespace {

constexpr double largest = 4; // MiB
constexpr std::size_t piece_size = 65536;

// The server

class TcpAcceptor {
public:
    explicit TcpAcceptor(tcp::acceptor& acceptor) : acceptor_(acceptor) {}
    Task<std::optional<Socket>> accept() {
        tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
        co_return Socket(std::move(socket));
    }

private:
    tcp::acceptor& acceptor_;
};

Task<> write_pieces(http::BodyWriter& out, std::uint64_t size) {
    static const std::string piece(piece_size, 'x');
    for (; size != 0; size -= piece.size()) co_await out.write(piece);
}

/// GET gives as many bytes as the path says, POST takes what comes and says how much that was.
Task<http::Response> exchange(const http::Request& request) {
    if (request.method() == http::Method::get) {
        const std::uint64_t size = std::stoull(std::string(request.path().substr(1)));
        const auto write = [size](http::BodyWriter& out) { return write_pieces(out, size); };
        co_return request.query() == "length" ? http::stream(write, size) : http::stream(write);
    }
    std::uint64_t size = 0;
    while (const auto part = co_await request.body().read()) size += part->size();
    co_return http::text(std::to_string(size));
}

[[noreturn]] void serve(asio::io_context& io, tcp::acceptor& listener) {
    TcpAcceptor acceptor(listener);
    http::ServerOptions options;
    options.limits.body = UINT64_MAX;
    asio::co_spawn(io, http::serve(acceptor, exchange, options), asio::detached);
    io.run();
    std::_Exit(1);
}

/// "VmRSS:" is what it has, "VmHWM:" the most it has had.
double memory(pid_t pid, const std::string& which) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string name; file >> name;) {
        double kib = 0;
        if (name == which && file >> kib) return kib / 1024;
    }
    throw std::runtime_error("/proc/PID/status");
}

// The client

class Client {
public:
    explicit Client(std::uint16_t port) { socket_.connect({asio::ip::address_v4::loopback(), port}); }

    void send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t count = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0) throw std::runtime_error("the server takes no more");
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }
    /// Everything until the server ends the connection: how much, and the end of it.
    std::uint64_t read_all(std::string& tail) {
        std::uint64_t size = 0;
        static char buffer[256 * 1024];
        ssize_t count = 0;
        while ((count = ::recv(socket_.native_handle(), buffer, sizeof buffer, 0)) > 0) {
            size += static_cast<std::uint64_t>(count);
            tail.append(buffer, static_cast<std::size_t>(count)).erase(0, tail.size() > 32 ? tail.size() - 32 : 0);
        }
        if (count < 0) throw std::runtime_error("the connection broke");
        return size;
    }

private:
    asio::io_context io_;
    tcp::socket socket_{io_};
};

std::string head(std::string_view request, std::string_view fields) {
    return std::string(request).append(" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n").append(fields).append("\r\n");
}

void upload(std::uint16_t port, std::uint64_t size, bool chunked) {
    Client client(port);
    client.send(head("POST /",
                     chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: " + std::to_string(size) + "\r\n"));
    const std::string data(piece_size, 'x');
    const std::string piece = chunked ? "10000\r\n" + data + "\r\n" : data;
    for (std::uint64_t sent = 0; sent != size; sent += data.size()) client.send(piece);
    if (chunked) client.send("0\r\n\r\n");
    std::string answer;
    client.read_all(answer);
    if (!answer.ends_with("\r\n" + std::to_string(size))) throw std::runtime_error("not all of it came");
}

void download(std::uint16_t port, std::uint64_t size, bool chunked) {
    Client client(port);
    client.send(head("GET /" + std::to_string(size) + (chunked ? "" : "?length"), ""));
    std::string end;
    const std::uint64_t count = client.read_all(end);
    if (count < size || !end.ends_with(chunked ? "x\r\n0\r\n\r\n" : "xxxx"))
        throw std::runtime_error("not all of it came");
}

// The measurement

template <class F>
bool measure(const char* what, pid_t server, std::uint64_t size, F transfer) {
    const double before = memory(server, "VmRSS:");
    const auto begin = Clock::now();
    transfer();
    const std::chrono::duration<double> time = Clock::now() - begin;
    const double growth = memory(server, "VmHWM:") - before;
    std::printf("%-44s %9.2f %-12s ceiling %.2f  %s\n", what, growth, "MiB", largest,
                growth <= largest ? "ok" : "FALLS SHORT");
    std::printf("  %.0f MiB at %.0f MiB a second\n", static_cast<double>(size >> 20),
                static_cast<double>(size >> 20) / time.count());
    return growth <= largest;
}

bool run(std::uint64_t size) {
    asio::io_context io(1);
    tcp::acceptor listener(io, {asio::ip::address_v4::loopback(), 0});
    const std::uint16_t port = listener.local_endpoint().port();
    io.notify_fork(asio::execution_context::fork_prepare);
    const pid_t server = ::fork();
    if (server == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        io.notify_fork(asio::execution_context::fork_child);
        serve(io, listener);
    }
    io.notify_fork(asio::execution_context::fork_parent);
    listener.close();
    upload(port, piece_size, true); // what is needed once is there from now on
    download(port, piece_size, true);
    bool holds = measure("growth for an upload with a length", server, size, [&] { upload(port, size, false); });
    holds = measure("growth for an upload in chunks", server, size, [&] { upload(port, size, true); }) && holds;
    holds = measure("growth for a download with a length", server, size, [&] { download(port, size, false); }) && holds;
    holds = measure("growth for a download in chunks", server, size, [&] { download(port, size, true); }) && holds;
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
    return holds;
}

} // namespace

int main(int argc, char** argv) {
    std::uint64_t mib = 1024;
    if (argc == 3 && std::string_view(argv[1]) == "--mib") mib = static_cast<std::uint64_t>(std::atoi(argv[2]));
    if (mib == 0 || (argc != 1 && argc != 3)) {
        std::fprintf(stderr, "usage: large_bodies [--mib 1024]\n");
        return 2;
    }
    try {
        return run(mib << 20) ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "large_bodies: %s\n", error.what());
        return 2;
    }
}

// What does an idle keep-alive connection cost? 10,000 of them, opened at 2,000 a second, each of which has had one
// request, in a worker of http_server. Connections that were opened at the same time have had their buffers at the same
// time, and the holes that these leave in the heap are counted too.
// Run:    idle_connections [--count 10000] [--mode round-robin|shared-socket] [--server PATH]
// Expect: at most 2 KiB of the worker's private memory for each, the kernel's left aside; exit code 1 otherwise.
#include "http_server_process.hpp"
#include "private_memory.hpp"

#include <memory>

namespace {

constexpr double largest = 2; // KiB
constexpr std::size_t a_second = 2'000;

/// Asks once and leaves the connection open.
bool ask_and_stay(const Socket& socket, std::uint16_t port) {
    static constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: idle\r\n\r\n";
    if (!connect_to(socket, port)) return false;
    if (::send(socket.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return false;
    char answer[4096];
    const ssize_t count = ::recv(socket.fd, answer, sizeof answer, 0);
    return count > 0 && std::string_view(answer, static_cast<std::size_t>(count)).ends_with("\r\n\r\nHello World\n");
}

/// Once more, on connections that have been idle for long.
bool all_still_serve(const std::vector<std::unique_ptr<Socket>>& sockets) {
    static constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (const auto& socket : sockets) {
        char answer[4096];
        if (::send(socket->fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return false;
        if (::recv(socket->fd, answer, sizeof answer, 0) <= 0) return false;
    }
    return true;
}

bool run(const Arguments& arguments, const std::string& mode, std::size_t count) {
    Server server(arguments.server, mode, 1);
    if (!server.all_serve()) throw std::runtime_error("no worker answers");
    const pid_t worker = children_of(server.pid()).at(0);
    const double before = private_memory(worker);
    std::vector<std::unique_ptr<Socket>> sockets;
    const auto begin = Clock::now();
    while (sockets.size() != count) {
        std::this_thread::sleep_until(begin + sockets.size() * 1'000'000us / a_second);
        sockets.push_back(std::make_unique<Socket>());
        if (!ask_and_stay(*sockets.back(), server.port())) throw std::runtime_error("a connection was not served");
    }
    const double fresh = private_memory(worker);
    std::this_thread::sleep_for(1s); // more than ServerOptions::park_after
    const double parked = private_memory(worker);
    const double each = (parked - before) / static_cast<double>(count);
    const std::string name = "memory of an idle connection, " + mode;
    std::printf("%-44s %9.2f %-12s ceiling %.2f  %s\n", name.c_str(), each, "KiB", largest,
                each <= largest ? "ok" : "FALLS SHORT");
    std::printf("  %.2f KiB when the last was opened; the worker had %.0f KiB before\n",
                (fresh - before) / static_cast<double>(count), before);
    if (!all_still_serve(sockets)) throw std::runtime_error("an idle connection was not served again");
    return each <= largest;
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments{{}, {"round-robin", "shared-socket"}};
    std::size_t count = 10'000;
    const auto own = [&count](const std::string& name, const char* value) {
        if (name == "--count") count = static_cast<std::size_t>(std::atoi(value));
        return name == "--count" && count != 0;
    };
    if (!parse(arguments, argc, argv, own)) {
        std::fprintf(stderr, "usage: idle_connections [--count N] [--mode NAME] [--server PATH]\n");
        return 2;
    }
    allow_many_descriptors();
    return run_modes("idle_connections", arguments,
                     [&](const std::string& mode) { return run(arguments, mode, count); });
}

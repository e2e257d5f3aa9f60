// The rival of http_server: a bare epoll loop that only looks for the blank line and answers the same bytes.
// Run:    http_epoll [--port N]  (0, the default: any), then: wrk -t1 -c64 http://127.0.0.1:PORT/
// Expect: one line with the port; ends by SIGTERM. http.sh measures it beside http_server.

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::string_view blank_line = "\r\n\r\n";

/// Byte for byte what http_server sends for GET /. Written anew when the second changes.
class Answer {
public:
    std::string_view now() {
        const std::time_t second = std::time(nullptr);
        if (second != second_) write(second);
        return text_;
    }

private:
    void write(std::time_t second) {
        std::tm utc{};
        gmtime_r(&second, &utc);
        std::array<char, 64> date{};
        std::strftime(date.data(), date.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
        text_ = std::string("HTTP/1.1 200 OK\r\n") + date.data() +
                "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\r\nHello World\n";
        second_ = second;
    }

    std::time_t second_ = -1;
    std::string text_;
};

struct Connection {
    int socket = -1;
    std::string received{};
    std::string unsent{};
};

class Server {
public:
    explicit Server(std::uint16_t port);
    std::uint16_t port() const;
    [[noreturn]] void run();

private:
    void watch(int socket, std::uint32_t events, Connection* connection, int operation) const {
        epoll_event event{};
        event.events = events;
        event.data.ptr = connection;
        ::epoll_ctl(epoll_, operation, socket, &event);
    }
    void accept_all();
    void serve(Connection& connection, std::uint32_t events);
    bool read(Connection& connection);
    bool send(Connection& connection);

    int listener_;
    int epoll_;
    Answer answer_;
    std::string answers_;
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

Server::Server(std::uint16_t port)
    : listener_(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
    if (::listen(listener_, 4096) != 0) fail("listen");
    watch(listener_, EPOLLIN, nullptr, EPOLL_CTL_ADD);
}

std::uint16_t Server::port() const {
    sockaddr_in6 address{};
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin6_port);
}

void Server::accept_all() {
    for (int socket = 0; (socket = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
        watch(socket, EPOLLIN, new Connection{socket}, EPOLL_CTL_ADD);
}

/// False when the connection has ended.
bool Server::read(Connection& connection) {
    std::array<char, 16384> buffer;
    const ssize_t count = ::recv(connection.socket, buffer.data(), buffer.size(), 0);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    connection.received.append(buffer.data(), static_cast<std::size_t>(count));
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = connection.received.find(blank_line, begin)) != std::string::npos;) {
        answers_.append(answer_.now());
        begin = end + blank_line.size();
    }
    connection.received.erase(0, begin);
    return true;
}

bool Server::send(Connection& connection) {
    if (!connection.unsent.empty()) connection.unsent.append(answers_);
    const std::string& all = connection.unsent.empty() ? answers_ : connection.unsent;
    const ssize_t sent = all.empty() ? 0 : ::send(connection.socket, all.data(), all.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    const bool waited = !connection.unsent.empty();
    connection.unsent = all.substr(static_cast<std::size_t>(sent < 0 ? 0 : sent));
    if (waited != !connection.unsent.empty())
        watch(connection.socket, waited ? EPOLLIN : EPOLLIN | EPOLLOUT, &connection, EPOLL_CTL_MOD);
    return true;
}

void Server::serve(Connection& connection, std::uint32_t events) {
    answers_.clear();
    const bool goes_on = (events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0 || read(connection);
    if (goes_on && send(connection)) return;
    ::close(connection.socket);
    delete &connection;
}

void Server::run() {
    std::array<epoll_event, 128> events;
    for (;;) {
        const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < count; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            if (event.data.ptr == nullptr)
                accept_all();
            else
                serve(*static_cast<Connection*>(event.data.ptr), event.events);
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 1 && (argc != 3 || std::strcmp(argv[1], "--port") != 0)) {
        std::fprintf(stderr, "usage: http_epoll [--port N]\n");
        return 2;
    }
    Server server(argc == 3 ? static_cast<std::uint16_t>(std::atoi(argv[2])) : std::uint16_t{0});
    std::printf("http_epoll: listening on [::]:%u, pid %d\n", server.port(), static_cast<int>(::getpid()));
    std::fflush(stdout);
    server.run();
}

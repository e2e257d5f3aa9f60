// SPDX-License-Identifier: MIT
#include "http_client.hpp"

#include "process.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace test {

std::string HttpReply::field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
}

int connect_locally(std::uint16_t port, std::chrono::seconds patience) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval longest{patience.count(), 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
    ::close(socket);
    return -1;
}

HttpClient::HttpClient(std::uint16_t port) : socket_(connect_locally(port, patience)) {
    if (socket_ < 0) throw std::runtime_error("cannot connect");
}

HttpClient::HttpClient(HttpClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), received_(std::move(other.received_)) {}

HttpClient::~HttpClient() {
    if (socket_ >= 0) ::close(socket_);
}

bool HttpClient::is_refused(std::uint16_t port) {
    const int socket = connect_locally(port, patience);
    if (socket >= 0) ::close(socket);
    return socket < 0;
}

bool HttpClient::is_released(std::uint16_t port) {
    return eventually([port] { return is_refused(port); });
}

void HttpClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) throw std::runtime_error("cannot send");
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void HttpClient::send(std::string_view method, std::string_view target, std::string_view body) {
    std::string text = std::string(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: test\r\n");
    if (!body.empty()) text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
    send(text.append("\r\n").append(body));
}

std::optional<HttpReply> HttpClient::read(bool head_only) {
    std::size_t end = 0;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
        if (receive()) continue;
        if (received_.empty()) return std::nullopt;
        throw std::runtime_error("the connection ended inside a head");
    }
    HttpReply reply = parse_head(take(end + 4));
    if (head_only) return reply;
    if (reply.field("transfer-encoding") == "chunked")
        read_chunks(reply.body);
    else
        reply.body = take(std::stoull(reply.field("content-length")));
    return reply;
}

HttpReply HttpClient::answer() {
    auto reply = read();
    if (!reply) throw std::runtime_error("the connection ended without an answer");
    return std::move(*reply);
}

HttpReply HttpClient::get(std::string_view target) {
    send("GET", target);
    return answer();
}

HttpReply HttpClient::ask(std::string_view method, std::string_view target, std::string_view body) {
    send(method, target, body);
    return answer();
}

std::string HttpClient::line() {
    std::size_t end = 0;
    while ((end = received_.find('\n')) == std::string::npos)
        if (!receive()) throw std::runtime_error("the connection ended inside a line");
    std::string line = take(end + 1);
    line.resize(end);
    return line;
}

bool HttpClient::ends() {
    const bool ended = received_.empty() && !receive();
    ::shutdown(socket_, SHUT_RDWR);
    return ended;
}

bool HttpClient::receive() {
    char buffer[65536];
    const ssize_t count = ::recv(socket_, buffer, sizeof buffer, 0);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) throw std::runtime_error("the server is silent");
    if (count > 0) received_.append(buffer, static_cast<std::size_t>(count));
    return count > 0;
}

std::string HttpClient::take(std::size_t size) {
    while (received_.size() < size)
        if (!receive()) throw std::runtime_error("the connection ended inside an answer");
    std::string result = received_.substr(0, size);
    received_.erase(0, size);
    return result;
}

std::string HttpClient::take_line() {
    std::size_t end = 0;
    while ((end = received_.find("\r\n")) == std::string::npos)
        if (!receive()) throw std::runtime_error("the connection ended inside a chunked body");
    std::string line = take(end + 2);
    line.resize(end);
    return line;
}

void HttpClient::read_chunks(std::string& body) {
    while (const std::size_t size = std::stoull(take_line(), nullptr, 16)) {
        body.append(take(size));
        if (!take_line().empty()) throw std::runtime_error("a chunk is longer than it says");
    }
    while (!take_line().empty()) {
    }
}

HttpReply HttpClient::parse_head(std::string_view head) {
    HttpReply reply;
    if (!head.starts_with("HTTP/1.1 ")) throw std::runtime_error("no answer in HTTP/1.1: " + std::string(head));
    reply.status = std::stoi(std::string(head.substr(9, 3)));
    head.remove_prefix(head.find("\r\n") + 2);
    for (std::size_t end = 0; (end = head.find("\r\n")) != 0; head.remove_prefix(end + 2)) {
        const std::string_view line = head.substr(0, end);
        const std::size_t colon = line.find(": ");
        std::string name(line.substr(0, colon));
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        reply.fields[name] = line.substr(colon + 2);
    }
    return reply;
}

} // namespace test

// SPDX-License-Identifier: MIT
// An HTTP client of the simplest kind: a blocking socket whose every operation has a deadline.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace test {

struct HttpReply {
    int status = 0;
    std::map<std::string, std::string> fields{}; ///< names in lower case
    std::string body{};

    std::string field(const std::string& name) const;
};

/// Connected to this port of 127.0.0.1, or -1. What is then waited for has this deadline.
int connect_locally(std::uint16_t port, std::chrono::seconds patience);

class HttpClient {
public:
    static constexpr std::chrono::seconds patience{20};

    /// Connected when constructed, to 127.0.0.1.
    explicit HttpClient(std::uint16_t port);
    HttpClient(HttpClient&& other) noexcept;
    HttpClient& operator=(HttpClient&&) = delete;
    ~HttpClient();

    /// Nobody listens on the port.
    static bool is_refused(std::uint16_t port);
    /// The same, within 5 s: a process that ends closes its output before its listener, and the kernel may have given
    /// the number to another test at once.
    static bool is_released(std::uint16_t port);

    void send(std::string_view bytes);
    void send(std::string_view method, std::string_view target, std::string_view body = {});

    /// The next answer; nothing when the connection ended before the first byte of it.
    std::optional<HttpReply> read(bool head_only = false);

    /// The next answer, which must come.
    HttpReply answer();
    HttpReply get(std::string_view target);
    HttpReply ask(std::string_view method, std::string_view target, std::string_view body = {});

    /// For other protocols: everything before the next end of a line.
    std::string line();

    /// The server says nothing more and ends the connection; then this side does so too.
    bool ends();

private:
    /// False at the end of the connection.
    bool receive();
    std::string take(std::size_t size);
    std::string take_line();
    void read_chunks(std::string& body);
    static HttpReply parse_head(std::string_view head);

    int socket_;
    std::string received_;
};

} // namespace test

// SPDX-License-Identifier: MIT
// The header that a proxy puts before a connection's own bytes to say whose it is (layer 1).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <arpa/inet.h>

namespace cohort::http::detail {

/// Reads one header of the PROXY protocol, version 1 or 2 (HAProxy's proxy-protocol.txt), however it is split. Only
/// the client's address is kept; what follows it in version 2 is passed over.
class ProxyHeader {
public:
    /// What was taken of the input, and whether it still can be such a header.
    struct Step {
        std::size_t consumed = 0;
        bool malformed = false;
    };

    Step take(std::string_view input);

    bool done() const noexcept { return done_; }

    /// The client's address as text. Empty: the connection is the proxy's own, or it does not know.
    const std::string& address() const noexcept { return address_; }

private:
    static constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
    static constexpr std::size_t longest_line = 107;
    static constexpr std::size_t fixed_part = 16;

    /// Called after each byte; false when no header begins like this.
    bool judge();

    bool read_line(std::string_view line);

    static bool is_address(int kind, const std::string& text) {
        in6_addr unused{};
        return text.find('\0') == std::string::npos && ::inet_pton(kind, text.c_str(), &unused) == 1;
    }
    static bool is_port(std::string_view text);

    unsigned octet(std::size_t at) const noexcept { return static_cast<unsigned char>(text_[at]); }

    /// Version 2, once its fixed part is complete; the addresses behind it may be incomplete.
    bool judge_binary();

    void read_address(unsigned family);

    std::string text_;
    std::string address_;
    std::size_t skipping_ = 0;
    bool done_ = false;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/parse/proxy_header.ipp>
#endif

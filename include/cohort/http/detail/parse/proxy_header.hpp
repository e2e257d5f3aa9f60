// SPDX-License-Identifier: MIT
// The header that a proxy puts before a connection's own bytes to say whose it is (layer 1).
#pragma once

#include <cohort/http/detail/parse/text.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
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

    Step take(std::string_view input) {
        Step step;
        while (!done_ && !step.malformed && step.consumed != input.size()) {
            const std::string_view rest = input.substr(step.consumed);
            if (skipping_ != 0) {
                const std::size_t count = std::min(skipping_, rest.size());
                skipping_ -= count;
                step.consumed += count;
                done_ = skipping_ == 0;
            } else {
                text_ += rest[0];
                ++step.consumed;
                step.malformed = !judge();
            }
        }
        return step;
    }

    bool done() const noexcept { return done_; }

    /// The client's address as text. Empty: the connection is the proxy's own, or it does not know.
    const std::string& address() const noexcept { return address_; }

private:
    static constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
    static constexpr std::size_t longest_line = 107;
    static constexpr std::size_t fixed_part = 16;

    /// After each byte; false when no header begins so.
    bool judge() {
        const std::size_t size = text_.size();
        if (text_[0] == signature[0]) {
            if (size <= signature.size()) return signature.starts_with(text_);
            return size < fixed_part || judge_binary();
        }
        if (size <= 6) return std::string_view{"PROXY "}.starts_with(text_);
        if (size > longest_line) return false;
        if (!text_.ends_with("\r\n")) return text_.back() != '\n';
        done_ = true;
        return read_line(std::string_view{text_}.substr(6, size - 8));
    }

    bool read_line(std::string_view line) {
        const std::string_view family = take_until(line, ' ');
        if (family == "UNKNOWN") return true;
        if (family != "TCP4" && family != "TCP6") return false;
        const int kind = family == "TCP4" ? AF_INET : AF_INET6;
        const std::string source{take_until(line, ' ')};
        const std::string destination{take_until(line, ' ')};
        const std::string_view source_port = take_until(line, ' ');
        if (!is_address(kind, source) || !is_address(kind, destination)) return false;
        if (!is_port(source_port) || !is_port(line)) return false;
        address_ = source;
        return true;
    }

    static bool is_address(int kind, const std::string& text) {
        in6_addr unused{};
        return text.find('\0') == std::string::npos && ::inet_pton(kind, text.c_str(), &unused) == 1;
    }
    static bool is_port(std::string_view text) {
        unsigned port = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
        return error == std::errc{} && end == text.data() + text.size() && port <= 65535 &&
               (text[0] != '0' || text.size() == 1);
    }

    unsigned octet(std::size_t at) const noexcept { return static_cast<unsigned char>(text_[at]); }

    /// The fixed part is there, and after it the addresses as far as they have come.
    bool judge_binary() {
        const unsigned command = octet(12);
        const unsigned family = octet(13) >> 4;
        const std::size_t length = octet(14) << 8 | octet(15);
        static constexpr std::array<std::size_t, 4> sizes{0, 12, 36, 216};
        if ((command != 0x20 && command != 0x21) || family >= sizes.size() || (octet(13) & 15) > 2) return false;
        const std::size_t used = command == 0x21 ? sizes[family] : 0;
        if (length < used) return false;
        if (text_.size() < fixed_part + used) return true;
        if (used != 0) read_address(family);
        skipping_ = length - used;
        done_ = skipping_ == 0;
        return true;
    }

    void read_address(unsigned family) {
        if (family == 3) {
            address_ = "unix:";
            return;
        }
        std::array<char, INET6_ADDRSTRLEN> buffer{};
        const int kind = family == 1 ? AF_INET : AF_INET6;
        if (::inet_ntop(kind, text_.data() + fixed_part, buffer.data(), buffer.size()) != nullptr)
            address_ = buffer.data();
    }

    std::string text_;
    std::string address_;
    std::size_t skipping_ = 0;
    bool done_ = false;
};

} // namespace cohort::http::detail

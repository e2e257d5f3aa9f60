// SPDX-License-Identifier: MIT
// The bodies of proxy_header.hpp (layer 1).
#pragma once

#include <cohort/http/detail/parse/proxy_header.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace cohort::http::detail {

COHORT_DECL ProxyHeader::Step ProxyHeader::take(std::string_view input) {
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

COHORT_DECL bool ProxyHeader::judge() {
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

COHORT_DECL bool ProxyHeader::read_line(std::string_view line) {
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

COHORT_DECL bool ProxyHeader::is_port(std::string_view text) {
    unsigned port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc{} && end == text.data() + text.size() && port <= 65535 &&
           (text[0] != '0' || text.size() == 1);
}

COHORT_DECL bool ProxyHeader::judge_binary() {
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

COHORT_DECL void ProxyHeader::read_address(unsigned family) {
    if (family == 3) {
        address_ = "unix:";
        return;
    }
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    const int kind = family == 1 ? AF_INET : AF_INET6;
    if (::inet_ntop(kind, text_.data() + fixed_part, buffer.data(), buffer.size()) != nullptr) address_ = buffer.data();
}

} // namespace cohort::http::detail

// SPDX-License-Identifier: MIT
// The body of printable.hpp (layer 0).
#pragma once

#include <cohort/detail/printable.hpp>

#include <cstddef>

namespace cohort::detail {

COHORT_DECL std::string printable(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    result.reserve(text.size());
    const auto escape = [&](unsigned char byte) {
        result.append("\\x") += digits[byte >> 4];
        result += digits[byte & 15U];
    };
    for (std::size_t i = 0; i != text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = i + 1 == text.size() ? 0U : static_cast<unsigned char>(text[i + 1]);
        const bool upper_control = byte == 0xc2 && next >= 0x80 && next < 0xa0;
        if (byte < 0x20 || byte == 0x7f || upper_control)
            escape(byte);
        else
            result += text[i];
        if (upper_control) escape(static_cast<unsigned char>(text[++i]));
    }
    return result;
}

} // namespace cohort::detail

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
        const auto next = i + 1 == text.size() ? '\0' : text[i + 1];
        std::size_t left = control_length(byte, static_cast<unsigned char>(next));
        if (left == 0) result += text[i];
        for (; left > 0; --left) {
            escape(static_cast<unsigned char>(text[i]));
            if (left > 1) ++i;
        }
    }
    return result;
}

} // namespace cohort::detail

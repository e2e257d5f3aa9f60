// SPDX-License-Identifier: MIT
// Text from elsewhere as it may be shown on a terminal (layer 0).
#pragma once

#include <cohort/detail/config.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace cohort::detail {

/// How many bytes, this one and the next, are one control character; those of ISO 8859's upper half are two in UTF-8.
constexpr std::size_t control_length(unsigned char byte, unsigned char next) noexcept {
    if (byte == 0xc2 && next >= 0x80 && next < 0xa0) return 2;
    return byte < 0x20 || byte == 0x7f ? 1 : 0;
}

/// Control characters as \xNN, those of ISO 8859's upper half in UTF-8, too: a worker or a client cannot move the
/// cursor of whoever reads a log, nor begin a line in it. What else is no ASCII stays.
std::string printable(std::string_view text);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/printable.ipp>
#endif

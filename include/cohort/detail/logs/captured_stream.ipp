// SPDX-License-Identifier: MIT
// The bodies of captured_stream.hpp (layer 3).
#pragma once

#include <cohort/detail/logs/captured_stream.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL void CapturedStream::watch() {
    watched_ = true;
    pipe_.when_readable(action<&CapturedStream::go_on>(this, shared_from_this()));
}

COHORT_DECL void CapturedStream::go_on() {
    constexpr std::size_t turn = std::size_t{16} << 10;
    watched_ = false;
    if (!pipe_.is_open() || resting_) return;
    read(turn);
    if (pipe_.is_open() && !held_ && !resting_) watch();
}

COHORT_DECL void CapturedStream::read(std::size_t most) {
    held_ = false;
    while (most > 0 && pipe_.is_open()) {
        held_ = !owner_.may_read();
        const std::size_t size = held_ ? 0 : read_piece();
        if (size == 0) return;
        most -= std::min(most, size);
    }
}

/// So few bytes that even if each is a line of its own there is memory for them all. Returns how many there were.
COHORT_DECL std::size_t CapturedStream::read_piece() {
    std::array<char, 4096> bytes; // NOLINT: what is used of it is read
    const ssize_t size = ::read(pipe_.get(), bytes.data(), bytes.size());
    if (size < 0 && (would_block(errno) || errno == EINTR)) return 0;
    const auto now = std::chrono::system_clock::now();
    if (size > 0) {
        splitter_.feed({bytes.data(), static_cast<std::size_t>(size)});
        give_lines(now);
    } else {
        if (const auto line = splitter_.rest()) owner_.take(source_, now, *line);
        pipe_.close();
    }
    owner_.lines_taken();
    return static_cast<std::size_t>(std::max(size, ssize_t{0}));
}

COHORT_DECL void CapturedStream::give_lines(Time time) {
    while (const auto line = splitter_.next()) owner_.take(source_, time, *line);
}

COHORT_DECL void CapturedStream::close() {
    if (const auto line = splitter_.rest()) owner_.take(source_, std::chrono::system_clock::now(), *line);
    pipe_.close();
}

} // namespace cohort::detail

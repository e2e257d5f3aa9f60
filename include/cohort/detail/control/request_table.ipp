// SPDX-License-Identifier: MIT
// The bodies of request_table.hpp (layer 2).
#pragma once

#include <cohort/detail/control/request_table.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <span>

namespace cohort::detail {

COHORT_DECL std::uint64_t nanoseconds_now() noexcept {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
}

/// As many bytes as there is room for, and a zero if there is room for that, too.
COHORT_DECL void store_text(std::string_view text, std::span<std::atomic<std::uint64_t>> words) noexcept {
    for (auto& word : words) {
        std::array<char, sizeof(std::uint64_t)> bytes{};
        const std::size_t taken = text.copy(bytes.data(), bytes.size());
        word.store(std::bit_cast<std::uint64_t>(bytes), std::memory_order_relaxed);
        if (taken < bytes.size()) return;
        text.remove_prefix(taken);
    }
}

/// `out` is one byte larger, and zero.
COHORT_DECL void load_text(std::span<const std::atomic<std::uint64_t>> words, std::span<char> out) noexcept {
    for (std::size_t i = 0; i != words.size(); ++i) {
        const std::uint64_t bytes = words[i].load(std::memory_order_relaxed);
        std::memcpy(out.data() + i * sizeof bytes, &bytes, sizeof bytes);
    }
}

COHORT_DECL void RequestCell::write(const RequestNote& note, std::uint64_t now) noexcept {
    std::array<char, sizeof what> text;
    std::size_t length = 0;
    const auto append = [&](std::string_view part) { length += part.copy(text.data() + length, text.size() - length); };
    append(note.method);
    if (!note.method.empty() && !note.target.empty()) append(" ");
    append(note.target.substr(0, note.target.find('?')));
    socket.store(note.socket, std::memory_order_relaxed);
    store_text({text.data(), length}, what);
    store_text(note.client, client);
    begun.store(now, std::memory_order_release);
}

COHORT_DECL std::optional<RequestCell::Seen> RequestCell::read() const noexcept {
    Seen seen;
    seen.begun = begun.load(std::memory_order_acquire);
    if (seen.begun == 0) return std::nullopt;
    seen.socket = socket.load(std::memory_order_relaxed);
    load_text(what, seen.what);
    load_text(client, seen.client);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (begun.load(std::memory_order_relaxed) != seen.begun) return std::nullopt;
    return seen;
}

/// The upper half of `free` tells two states apart in which the same one is first.
inline constexpr std::uint64_t one_change = std::uint64_t{1} << 32;

COHORT_DECL RequestCell* RequestTable::begin(const RequestNote& note, std::uint64_t now) noexcept {
    RequestCell* cell = nullptr;
    std::uint64_t first = free.load(std::memory_order_acquire);
    while (cell == nullptr && static_cast<std::uint32_t>(first) != 0) {
        RequestCell& candidate = cells[(static_cast<std::uint32_t>(first) - 1) % size];
        const auto next = static_cast<std::uint32_t>(candidate.socket.load(std::memory_order_relaxed));
        const std::uint64_t after = (first & ~(one_change - 1)) + one_change + next;
        if (free.compare_exchange_weak(first, after, std::memory_order_acquire)) cell = &candidate;
    }
    if (cell == nullptr && touched.load(std::memory_order_relaxed) < size) {
        const std::uint32_t index = touched.fetch_add(1, std::memory_order_relaxed);
        if (index < size) cell = &cells[index];
    }
    if (cell != nullptr) cell->write(note, now);
    return cell;
}

COHORT_DECL void RequestTable::end(RequestCell& cell) noexcept {
    cell.begun.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release); // whoever sees what is stored below sees that it has ended
    const auto number = static_cast<std::uint32_t>(&cell - cells.data()) + 1;
    std::uint64_t first = free.load(std::memory_order_relaxed);
    std::uint64_t after = 0;
    do {
        cell.socket.store(static_cast<std::int32_t>(static_cast<std::uint32_t>(first)), std::memory_order_relaxed);
        after = (first & ~(one_change - 1)) + one_change + number;
    } while (!free.compare_exchange_weak(first, after, std::memory_order_release, std::memory_order_relaxed));
}

COHORT_DECL std::uint32_t RequestTable::used() const noexcept {
    return std::min(touched.load(std::memory_order_relaxed), size);
}

COHORT_DECL void RequestTable::set_doing(std::string_view text) noexcept {
    const std::size_t length = std::min(text.size(), doing.size() - 1);
    for (std::size_t i = 0; i < length; ++i) doing[i].store(text[i], std::memory_order_relaxed);
    doing[length].store('\0', std::memory_order_relaxed);
}

COHORT_DECL std::string RequestTable::doing_text() const {
    std::string text;
    for (const auto& each : doing) {
        const char c = each.load(std::memory_order_relaxed);
        if (c == '\0') break;
        text += c;
    }
    return text;
}

} // namespace cohort::detail

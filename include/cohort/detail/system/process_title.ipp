// SPDX-License-Identifier: MIT
// The bodies of process_title.hpp (layer 2).
#pragma once

#include <cohort/detail/system/process_title.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/process_start.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include <sys/mman.h>
#include <sys/prctl.h>

namespace cohort::detail {

/// Where main()'s arguments are: /proc/self/stat, fields 48 and 49 (proc(5)).
COHORT_DECL std::span<char> arguments_area() {
    std::ifstream file("/proc/self/stat");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    std::size_t at = text.rfind(')');
    for (int field = 2; at != text.npos && field < 48; ++field) at = text.find(' ', at + 1);
    if (at == text.npos) return {};
    char* next = nullptr;
    const std::uintptr_t begin = std::strtoull(text.c_str() + at, &next, 10);
    const std::uintptr_t end = std::strtoull(next, nullptr, 10);
    if (begin == 0 || end <= begin) return {};
    return {reinterpret_cast<char*>(begin), end - begin}; // NOLINT: the kernel says where
}

/// Anonymous memory, since the kernel shows no other. It lies below the stack, where the arguments are: the begin is
/// set first. Empty: that is not permitted.
COHORT_DECL std::span<char> make_arguments_area() noexcept {
    constexpr std::size_t size = 4096;
    void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return {};
    const auto begin = reinterpret_cast<std::uintptr_t>(memory);
    if (::prctl(PR_SET_MM, PR_SET_MM_ARG_START, begin, 0, 0) == 0 &&
        ::prctl(PR_SET_MM, PR_SET_MM_ARG_END, begin + size, 0, 0) == 0)
        return {static_cast<char*>(memory), size};
    ::munmap(memory, size);
    return {};
}

COHORT_DECL std::span<char> title_area() {
    static const std::span<char> area = [] {
        own_arguments(); // as they are now
        const std::span<char> own = make_arguments_area();
        return own.empty() ? arguments_area() : own;
    }();
    return area;
}

COHORT_DECL void write_title(std::span<char> area, std::string_view title) noexcept {
    if (area.size() < 2) return;
    const std::string_view fits = title.substr(0, area.size() - 2);
    const auto rest = std::ranges::copy(fits, area.begin()).out;
    std::fill(rest, area.end(), '\0');
    area.back() = ' ';
}

COHORT_DECL void set_process_title(std::string_view whole, std::string_view brief) noexcept {
    try {
        write_title(title_area(), whole);
        ::prctl(PR_SET_NAME, std::string(brief).c_str(), 0, 0, 0);
    } catch (...) {
        // There is no memory for it.
    }
}

} // namespace cohort::detail

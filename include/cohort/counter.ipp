// SPDX-License-Identifier: MIT
// The bodies of counter.hpp (layer 2).
#pragma once

#include <cohort/counter.hpp>

#include <cohort/detail/config.hpp>

#include <stdexcept>
#include <string>

namespace cohort::detail {

COHORT_DECL bool NamedCounter::give(std::string_view wanted) noexcept {
    std::uint32_t expected = free;
    if (!state.compare_exchange_strong(expected, being_named)) return false;
    wanted.copy(name, longest_name);
    name[wanted.size()] = '\0';
    state.store(named, std::memory_order_release);
    return true;
}

COHORT_DECL void check_counter_name(std::string_view name) {
    const auto fits = [](char c) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return is_letter || (c >= '0' && c <= '9') || c == '_' || c == ':';
    };
    bool is_name = !name.empty() && name.size() <= NamedCounter::longest_name && !(name[0] >= '0' && name[0] <= '9');
    for (const char c : name) is_name = is_name && fits(c);
    if (!is_name)
        throw std::invalid_argument("a counter's name is up to 51 letters, digits, '_' and ':', not '" +
                                    std::string(name) + "'");
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of counter.hpp (layer 2).
#pragma once

#include <cohort/counter.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>

#include <stdexcept>
#include <string>

namespace cohort::detail {

COHORT_DECL bool NamedCounter::is_nearly(const CounterName& wanted) const noexcept {
    const auto stem = [](std::string_view text) {
        constexpr std::string_view total = "_total";
        return text.ends_with(total) ? text.substr(0, text.size() - total.size()) : text;
    };
    const CounterName own = read_name();
    return own[0] != '\0' && own != wanted && stem(own.data()) == stem(wanted.data());
}

COHORT_DECL bool NamedCounter::give(const CounterName& wanted) noexcept {
    std::uint32_t expected = free;
    if (!state.compare_exchange_strong(expected, being_named)) return false;
    name = wanted;
    state.store(named, std::memory_order_release);
    return true;
}

COHORT_DECL CounterName NamedCounter::read_name() const noexcept {
    if (state.load(std::memory_order_acquire) != named) return {};
    CounterName copy{}; // what is checked is the copy, which nobody else can change
    for (std::size_t i = 0; i != longest_name; ++i) copy[i] = static_cast<const volatile char&>(name[i]);
    const std::string_view text(copy.data());
    for (std::size_t i = text.size(); i != longest_name; ++i) copy[i] = '\0';
    return is_counter_name(text) ? copy : CounterName{};
}

COHORT_DECL bool is_counter_name(std::string_view name) noexcept {
    const auto fits = [](char c) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return is_letter || (c >= '0' && c <= '9') || c == '_' || c == ':';
    };
    bool is_name = !name.empty() && name.size() <= NamedCounter::longest_name && !(name[0] >= '0' && name[0] <= '9');
    for (const char c : name) is_name = is_name && fits(c);
    return is_name && !name.starts_with("cohort_");
}

COHORT_DECL CounterName to_counter_name(std::string_view name) {
    if (!is_counter_name(name))
        throw std::invalid_argument("a counter's name is up to 51 letters, digits, '_' and ':', without a digit or "
                                    "\"cohort_\" in front, not '" +
                                    printable(name) + "'");
    CounterName result{};
    name.copy(result.data(), NamedCounter::longest_name);
    return result;
}

} // namespace cohort::detail

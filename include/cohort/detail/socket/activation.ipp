// SPDX-License-Identifier: MIT
// The bodies of activation.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/activation.hpp>

#include <cohort/detail/config.hpp>

#include <charconv>
#include <cstdlib>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::optional<int> parse_decimal(std::string_view text) noexcept {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
    return number;
}

COHORT_DECL std::optional<int> Activation::find(std::string_view wanted) const noexcept {
    const auto place = parse_decimal(wanted);
    bool is_place_stored = false;
    std::string_view rest = names;
    for (int position = 0; position < count && !rest.empty(); ++position) {
        const auto end = rest.find(':');
        const bool is_stored = rest.starts_with(stored_prefix);
        if (rest.substr(0, end) == wanted && !is_stored) return first_descriptor + position;
        if (position == place) is_place_stored = is_stored;
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    }
    if (!place || *place >= count || is_place_stored) return std::nullopt;
    return first_descriptor + *place;
}

COHORT_DECL Activation activation_from_environment() noexcept {
    const auto variable = [](const char* name) -> std::string_view {
        const char* const text = std::getenv(name);
        return text == nullptr ? "" : text;
    };
    if (parse_decimal(variable("LISTEN_PID")) != ::getpid()) return {};
    return {parse_decimal(variable("LISTEN_FDS")).value_or(0), variable("LISTEN_FDNAMES")};
}

COHORT_DECL int activated_descriptor(std::string_view name, std::error_code& error) noexcept {
    const auto descriptor = activation_from_environment().find(name);
    if (!descriptor) error = Errc::not_activated;
    return descriptor.value_or(-1);
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of identity.hpp (layer 4).
#pragma once

#include <cohort/detail/worker/identity.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/worker/worker_signals.hpp>

#include <charconv>
#include <cstdlib>

#include <fcntl.h>

namespace cohort::detail {

COHORT_DECL std::vector<int> Identity::descriptors() const {
    std::vector<int> all = inherited;
    for (const int fd : {control, channel, page, part})
        if (fd >= 0) all.push_back(fd);
    return all;
}

COHORT_DECL std::string to_string(const Identity& identity) {
    std::string text;
    const auto add = [&text](auto number) { text += (text.empty() ? "" : " ") + std::to_string(number); };
    add(identity.id);
    add(identity.slot);
    add(identity.cell);
    add(identity.master);
    add(identity.control);
    add(identity.channel);
    add(identity.page);
    add(identity.part);
    add(static_cast<int>(identity.dumpable));
    add(identity.generation);
    for (const int fd : identity.inherited) add(fd);
    return text;
}

COHORT_DECL std::optional<std::vector<long>> parse_numbers(std::string_view text) {
    std::vector<long> numbers;
    while (!text.empty()) {
        long number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || number < 0) return std::nullopt;
        numbers.push_back(number);
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    }
    return numbers;
}

COHORT_DECL std::optional<Identity> parse_identity(std::string_view text) {
    const auto numbers = parse_numbers(text);
    if (!numbers || numbers->size() < 10) return std::nullopt;
    const auto& n = *numbers;
    Identity identity{static_cast<WorkerId>(n[0]),
                      static_cast<unsigned>(n[1]),
                      static_cast<std::uint32_t>(n[2]),
                      static_cast<pid_t>(n[3]),
                      static_cast<int>(n[4]),
                      static_cast<int>(n[5]),
                      static_cast<int>(n[6]),
                      static_cast<int>(n[7]),
                      n[8] != 0,
                      static_cast<std::uint64_t>(n[9]),
                      {}};
    if (identity.cell >= SharedPage::worker_cells) return std::nullopt;
    for (std::size_t i = 10; i < n.size(); ++i) identity.inherited.push_back(static_cast<int>(n[i]));
    return identity;
}

COHORT_DECL std::optional<Identity> take_identity_from_environment() {
    const char* const text = std::getenv(identity_variable);
    if (text == nullptr) return std::nullopt;
    auto identity = parse_identity(text);
    ::unsetenv(identity_variable);
    WorkerSignals::install();
    release_signals(service_signals);
    if (!identity) return std::nullopt;
    for (const int fd : identity->descriptors())
        if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return std::nullopt;
    return identity;
}

COHORT_DECL std::optional<Identity> pending_identity = take_identity_from_environment();

COHORT_DECL bool in_worker = pending_identity.has_value();

} // namespace cohort::detail

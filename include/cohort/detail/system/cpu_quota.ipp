// SPDX-License-Identifier: MIT
// The bodies of cpu_quota.hpp (layer 2).
#pragma once

#include <cohort/detail/system/cpu_quota.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/process_setup.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

namespace cohort::detail {

COHORT_DECL std::optional<std::int64_t> leading_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} ? std::optional(number) : std::nullopt;
}

COHORT_DECL std::optional<double> cpus_of(std::string_view quota) {
    const auto blank = quota.find(' ');
    if (blank == quota.npos) return std::nullopt;
    const auto time = leading_number(quota);
    const auto period = leading_number(quota.substr(blank + 1));
    if (!time || !period || *time <= 0 || *period <= 0) return std::nullopt;
    return static_cast<double>(*time) / static_cast<double>(*period);
}

/// Version 1: two files, and -1 for no limit.
COHORT_DECL std::optional<double> cpus_of_version_1(const std::string& folder) {
    std::string time = text_of(folder + "/cpu.cfs_quota_us");
    std::erase(time, '\n');
    return time.empty() ? std::nullopt : cpus_of(time + " " + text_of(folder + "/cpu.cfs_period_us"));
}

/// "/a/b", "/a" and "": from a group up to the root. One above the root, as seen from another namespace, is the root.
COHORT_DECL std::vector<std::string> levels_of(std::string path) {
    std::vector<std::string> levels;
    if (path.find("..") != path.npos) path.clear();
    for (; path.size() > 1; path.erase(path.rfind('/'))) levels.push_back(path);
    levels.emplace_back();
    return levels;
}

COHORT_DECL std::optional<double> cpu_quota(const CgroupPlace& place) {
    const std::string membership = text_of(place.membership);
    std::optional<double> least;
    const auto consider = [&least](std::optional<double> quota) {
        if (quota && (!least || *quota < *least)) least = quota;
    };
    for (const std::string& level : levels_of(cgroup_path(membership)))
        for (const char* const mount : {"", "/unified"})
            consider(cpus_of(text_of(place.mount + mount + level + "/cpu.max")));
    for (const std::string& level : levels_of(cgroup_path(membership, "cpu")))
        for (const char* const mount : {"/cpu", "/cpu,cpuacct"})
            consider(cpus_of_version_1(place.mount + mount + level));
    return least;
}

COHORT_DECL unsigned cpus_to_fill(const CgroupPlace& place) {
    const auto cpus = std::max(1U, static_cast<unsigned>(usable_cpus().size()));
    const double quota = std::ceil(cpu_quota(place).value_or(cpus));
    return quota < cpus ? std::max(1U, static_cast<unsigned>(quota)) : cpus;
}

} // namespace cohort::detail

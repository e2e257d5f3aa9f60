// SPDX-License-Identifier: MIT
// The bodies of cgroup.hpp (layer 2).
#pragma once

#include <cohort/detail/system/cgroup.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace cohort::detail {

COHORT_DECL std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

COHORT_DECL bool has_word(std::string_view list, std::string_view word, std::string_view separators) {
    while (!list.empty()) {
        const auto end = std::min(list.find_first_of(separators), list.size());
        if (list.substr(0, end) == word) return true;
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

COHORT_DECL std::string cgroup_path(std::string_view membership, std::string_view controller) {
    while (!membership.empty()) {
        const auto end = std::min(membership.find('\n'), membership.size());
        const std::string_view line = membership.substr(0, end);
        membership.remove_prefix(std::min(end + 1, membership.size()));
        const auto first = line.find(':');
        const auto second = first == line.npos ? first : line.find(':', first + 1);
        if (second == line.npos) continue;
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        const bool is_wanted = controller.empty() ? controllers.empty() : has_word(controllers, controller, ",");
        if (is_wanted) return std::string(line.substr(second + 1));
    }
    return {};
}

} // namespace cohort::detail

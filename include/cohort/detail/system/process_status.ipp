// SPDX-License-Identifier: MIT
// The bodies of process_status.hpp (layer 2).
#pragma once

#include <cohort/detail/system/process_status.hpp>

#include <cohort/detail/config.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace cohort::detail {

COHORT_DECL ProcessStatus::ProcessStatus(pid_t pid) : text_("\n") {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    text_.append(std::istreambuf_iterator<char>(file), {});
}

COHORT_DECL std::string ProcessStatus::operator[](const std::string& name) const {
    const std::string field = "\n" + name + ":";
    const auto at = text_.find(field);
    if (at == std::string::npos) return {};
    const auto begin = at + field.size();
    return text_.substr(begin, text_.find('\n', begin) - begin);
}

COHORT_DECL pid_t ProcessStatus::number(const std::string& name) const {
    return static_cast<pid_t>(std::atol((*this)[name].c_str()));
}

} // namespace cohort::detail

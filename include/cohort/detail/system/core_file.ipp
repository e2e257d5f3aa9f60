// SPDX-License-Identifier: MIT
// The bodies of core_file.hpp (layer 2).
#pragma once

#include <cohort/detail/system/core_file.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/cgroup.hpp>

namespace cohort::detail {

COHORT_DECL std::string first_line_of(const char* path) {
    const std::string text = text_of(path);
    return text.substr(0, text.find('\n'));
}

COHORT_DECL std::string core_file(std::string_view pattern, bool with_pid, pid_t pid, int signal,
                                  const ProcessFolders& folders) {
    if (pattern.empty() && !with_pid) return {};
    if (pattern.starts_with('@')) return std::string(pattern);
    const bool is_program = pattern.starts_with('|');
    if (is_program) pattern = pattern.substr(0, pattern.find(' '));
    bool has_pid = is_program;
    std::string name;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '%') {
            name += pattern[i];
            continue;
        }
        switch (++i < pattern.size() ? pattern[i] : '\0') {
            case '\0': break; // at the end it stands for nothing
            case '%': name += '%'; break;
            case 'p':
                name += std::to_string(pid);
                has_pid = true;
                break;
            case 's': name += std::to_string(signal); break;
            default: name += '*';
        }
    }
    if (is_program) return "| " + name.substr(1);
    if (with_pid && !has_pid) name += '.' + std::to_string(pid);
    return folders.root + (name.starts_with('/') ? name : folders.cwd + '/' + name);
}

COHORT_DECL std::string core_file(pid_t pid, int signal, const ProcessFolders& folders) {
    const bool with_pid = first_line_of("/proc/sys/kernel/core_uses_pid") == "1";
    return core_file(first_line_of("/proc/sys/kernel/core_pattern"), with_pid, pid, signal, folders);
}

} // namespace cohort::detail

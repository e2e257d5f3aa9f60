// SPDX-License-Identifier: MIT
// The bodies of process_setup.hpp (layer 2).
#pragma once

#include <cohort/detail/system/process_setup.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::optional<SetupError> place_descriptors(const std::map<int, int>& wanted, std::span<int* const> own,
                                                        std::span<const int> fixed) {
    const int above = wanted.empty() ? 0 : wanted.rbegin()->first + 1;
    for (const int each : fixed)
        if (wanted.contains(each)) return SetupError{EBUSY, "descriptors"};
    for (int* const each : own)
        if (wanted.contains(*each)) *each = ::fcntl(*each, F_DUPFD_CLOEXEC, above);
    // Copies first: a number that is wanted may be the source of another.
    std::map<int, int> copies;
    for (const auto& [number, source] : wanted) {
        const int opened = source < 0 ? ::open("/dev/null", O_RDWR | O_CLOEXEC) : source;
        copies[number] = ::fcntl(opened, F_DUPFD_CLOEXEC, above);
        if (copies[number] < 0) return SetupError{errno, "descriptors"};
        if (source < 0) ::close(opened);
    }
    for (const auto& [number, copy] : copies) {
        if (::dup2(copy, number) < 0) return SetupError{errno, "descriptors"};
        ::close(copy);
    }
    return std::nullopt;
}

COHORT_DECL std::vector<unsigned> usable_cpus() {
    cpu_set_t set;
    std::vector<unsigned> cpus;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

COHORT_DECL std::optional<SetupError> choose_cpus(const WorkerOptions& options, unsigned slot) {
    if (options.cpus.empty() && options.pinning == Pinning::none) return std::nullopt;
    std::vector<unsigned> cpus = options.cpus.empty() ? usable_cpus() : options.cpus;
    if (options.pinning == Pinning::by_slot && !cpus.empty()) cpus = {cpus[slot % cpus.size()]};
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const unsigned cpu : cpus) {
        if (cpu >= CPU_SETSIZE) return SetupError{EINVAL, "sched_setaffinity"};
        CPU_SET(cpu, &set);
    }
    if (::sched_setaffinity(0, sizeof set, &set) != 0) return SetupError{errno, "sched_setaffinity"};
    return std::nullopt;
}

COHORT_DECL std::optional<SetupError> limit_resources(const WorkerOptions& options) noexcept {
    if (options.nice && ::setpriority(PRIO_PROCESS, 0, *options.nice) != 0) return SetupError{errno, "setpriority"};
    for (const auto& [resource, limit] : options.limits) {
        const rlimit both{static_cast<rlim_t>(limit.soft), static_cast<rlim_t>(limit.hard)};
        if (::setrlimit(static_cast<decltype(RLIMIT_NOFILE)>(resource), &both) != 0)
            return SetupError{errno, "setrlimit"};
    }
    if (options.umask) ::umask(*options.umask);
    if (options.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return SetupError{errno, "PR_SET_NO_NEW_PRIVS"};
    return std::nullopt;
}

COHORT_DECL std::optional<SetupError> take_identity(const WorkerOptions& options) noexcept {
    if ((options.uid || options.gid) && ::setgroups(0, nullptr) != 0) return SetupError{errno, "setgroups"};
    if (options.gid && ::setresgid(*options.gid, *options.gid, *options.gid) != 0) return SetupError{errno, "setgid"};
    if (options.uid && ::setresuid(*options.uid, *options.uid, *options.uid) != 0) return SetupError{errno, "setuid"};
    // A process that could become root again has given nothing up.
    if (options.uid && *options.uid != 0 && ::setuid(0) == 0) return SetupError{EPERM, "setuid"};
    return std::nullopt;
}

COHORT_DECL bool is_kept(std::string_view name, std::span<const std::string> kept) {
    return std::ranges::any_of(kept, [name](std::string_view one) {
        if (!one.ends_with('*')) return one == name;
        one.remove_suffix(1);
        return name.starts_with(one);
    });
}

COHORT_DECL std::optional<SetupError> choose_environment(const WorkerOptions& options) {
    std::vector<std::string> dropped;
    for (char** one = environ; options.keep_env && one != nullptr && *one != nullptr; ++one) {
        const std::string_view variable(*one);
        const std::string_view name = variable.substr(0, variable.find('='));
        if (!is_kept(name, *options.keep_env)) dropped.emplace_back(name);
    }
    for (const std::string& name : dropped) ::unsetenv(name.c_str());
    for (const auto& [name, value] : options.env)
        if (::setenv(name.c_str(), value.c_str(), 1) != 0) return SetupError{errno, "setenv"};
    return std::nullopt;
}

/// Whoever changes the root and not the folder is still outside.
COHORT_DECL std::optional<SetupError> choose_folder(const WorkerOptions& options) noexcept {
    if (!options.root.empty() && ::chroot(options.root.c_str()) != 0) return SetupError{errno, "chroot"};
    if (!options.root.empty() && ::chdir("/") != 0) return SetupError{errno, "chdir"};
    if (!options.cwd.empty() && ::chdir(options.cwd.c_str()) != 0) return SetupError{errno, "chdir"};
    return std::nullopt;
}

COHORT_DECL std::optional<SetupError> prepare_process(const WorkerOptions& options, unsigned slot) {
    ::setpgid(0, 0);
    if (const auto error = choose_folder(options)) return error;
    if (const auto error = choose_environment(options)) return error;
    if (const auto error = choose_cpus(options, slot)) return error;
    if (const auto error = limit_resources(options)) return error;
    return take_identity(options);
}

} // namespace cohort::detail

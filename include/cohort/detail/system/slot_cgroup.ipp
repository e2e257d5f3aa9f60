// SPDX-License-Identifier: MIT
// The bodies of slot_cgroup.hpp (layer 2).
#pragma once

#include <cohort/detail/system/slot_cgroup.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/debugger.hpp>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <map>
#include <sstream>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

[[noreturn]] COHORT_DECL void refuse_cgroup(const std::string& file, int error, const std::string& why = "") {
    throw std::system_error(error, std::system_category(), "cgroup: " + file + (why.empty() ? "" : " (" + why + ")"));
}

COHORT_DECL int write_cgroup(const std::string& file, std::string_view text) noexcept {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    const int error = ::write(fd, text.data(), text.size()) < 0 ? errno : 0;
    ::close(fd);
    return error;
}

/// What the kernel has to be told, by file.
COHORT_DECL std::map<std::string, std::string> cgroup_files(const CgroupLimits& limits) {
    constexpr double period = 100'000; // microseconds
    std::map<std::string, std::string> files;
    if (limits.memory) files["memory.max"] = std::to_string(*limits.memory);
    if (limits.cpus)
        files["cpu.max"] = std::to_string(std::max(1'000L, std::lround(*limits.cpus * period))) + " 100000";
    if (limits.cpu_weight) files["cpu.weight"] = std::to_string(*limits.cpu_weight);
    if (limits.processes) files["pids.max"] = std::to_string(*limits.processes);
    return files;
}

/// The groups are named after this process: the next master of an upgrade makes its own.
COHORT_DECL std::string own_cgroup_name(std::string_view what) {
    return "/cohort-" + std::to_string(::getpid()) + "-" + std::string(what);
}

COHORT_DECL std::string delegated_folder(const CgroupPlace& place) {
    std::string path = cgroup_path(text_of(place.membership));
    if (path.empty()) refuse_cgroup(place.membership, ENOTSUP, "there is no cgroup of version 2");
    const auto last = path.rfind('/');
    if (path.substr(last).starts_with("/cohort-") && path.ends_with("-master")) path.erase(last);
    if (path == "/") path.clear();
    for (const char* const mount : {"/unified", ""})
        if (::access((place.mount + mount + "/cgroup.controllers").c_str(), F_OK) == 0)
            return place.mount + mount + path;
    refuse_cgroup(place.mount, ENOENT, "it has no cgroup.controllers");
}

/// The kernel passes controllers on only from a group without processes. What this process has started before, as the
/// writer of its log, goes with it; who else is there does not.
COHORT_DECL void move_to(const std::string& group, const std::string& from) {
    if (const int error = write_cgroup(group + "/cgroup.procs", "0")) refuse_cgroup(group, error);
    std::istringstream processes(text_of(from + "/cgroup.procs"));
    for (std::string process; processes >> process;)
        if (is_descendant(std::stoi(process), ::getpid())) write_cgroup(group + "/cgroup.procs", process);
}

/// Has groups beneath `folder` have these controllers, too.
COHORT_DECL void pass_controllers_on(const std::string& folder, const std::map<std::string, std::string>& files) {
    const std::string present = text_of(folder + "/cgroup.controllers");
    const std::string passed_on = text_of(folder + "/cgroup.subtree_control");
    std::string missing;
    for (const auto& [file, text] : files) {
        const std::string controller = file.substr(0, file.find('.'));
        if (!has_word(present, controller, " \n"))
            refuse_cgroup(folder, ENOTSUP, "no " + controller + " controller was delegated");
        if (!has_word(passed_on, controller, " \n")) missing += (missing.empty() ? "+" : " +") + controller;
    }
    if (missing.empty()) return;
    const std::string beside = folder + own_cgroup_name("master");
    if (::mkdir(beside.c_str(), 0755) != 0 && errno != EEXIST) refuse_cgroup(beside, errno, "Delegate=yes?");
    const std::string control = folder + "/cgroup.subtree_control";
    constexpr int most = 10; // what is moved may start something meanwhile
    int error = EBUSY;
    for (int attempt = 0; attempt != most && error == EBUSY; ++attempt) {
        move_to(beside, folder);
        error = write_cgroup(control, missing);
    }
    if (error != 0) refuse_cgroup(control, error, error == EBUSY ? "other processes are in this group" : missing);
}

COHORT_DECL std::map<unsigned, std::string>& slot_cgroups() {
    static std::map<unsigned, std::string> folders;
    return folders;
}

COHORT_DECL std::string make_slot_cgroup(unsigned slot, const CgroupLimits& limits, const CgroupPlace& place) {
    static const std::string base = delegated_folder(place);
    const auto files = cgroup_files(limits);
    pass_controllers_on(base, files);
    const std::string folder = base + own_cgroup_name("slot-" + std::to_string(slot));
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) refuse_cgroup(folder, errno, "Delegate=yes?");
    slot_cgroups()[slot] = folder;
    for (const auto& [file, text] : files) {
        const int error = write_cgroup(folder + "/" + file, text);
        if (error == 0) continue;
        remove_slot_cgroup(slot);
        refuse_cgroup(folder + "/" + file, error, text);
    }
    return folder;
}

COHORT_DECL std::optional<SetupError> enter_cgroup(const std::string& folder) noexcept {
    try {
        if (const int error = write_cgroup(folder + "/cgroup.procs", "0")) return SetupError{error, "cgroup.procs"};
        return std::nullopt;
    } catch (...) {
        return SetupError{ENOMEM, "cgroup.procs"};
    }
}

COHORT_DECL void remove_slot_cgroup(unsigned slot) noexcept {
    const auto found = slot_cgroups().find(slot);
    if (found != slot_cgroups().end() && ::rmdir(found->second.c_str()) == 0) slot_cgroups().erase(found);
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of process_start.hpp (layer 2).
#pragma once

#include <cohort/detail/system/process_start.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL void open_standard_descriptors() noexcept {
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        // The lowest free number is this one. Without a /dev/null it is at least nothing that can be written to.
        if (::open("/dev/null", O_RDWR) < 0) ::open("/", O_PATH | O_DIRECTORY);
    }
}

COHORT_DECL std::vector<std::string> arguments_now() {
    std::ifstream file("/proc/self/cmdline");
    std::vector<std::string> arguments;
    for (std::string one; std::getline(file, one, '\0');) arguments.push_back(one);
    return arguments;
}

COHORT_DECL const std::vector<std::string>& own_arguments() {
    static const std::vector<std::string> arguments = arguments_now();
    return arguments;
}

COHORT_DECL NamedFolder name_folder() {
    NamedFolder folder;
    std::error_code error;
    ::stat(".", &folder.status);
    struct stat named {};
    const char* const name = std::getenv("PWD");
    if (name != nullptr && name[0] == '/' && ::stat(name, &named) == 0 && is_same_file(named, folder.status))
        folder.name = name;
    else
        folder.name = std::filesystem::current_path(error).native();
    return folder;
}

COHORT_DECL const NamedFolder& folder_at_start() {
    static const NamedFolder folder = name_folder();
    return folder;
}

/// A program that was started by its descriptor, or by an interpreter, has the name of another file: then it is that of
/// the file itself.
COHORT_DECL std::string name_program() {
    std::error_code unknown;
    const std::string file = std::filesystem::read_symlink("/proc/self/exe", unknown).native();
    const auto* const given = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
    if (given == nullptr) return file; // some emulators
    std::string name = given;
    if (!name.starts_with('/')) name.insert(0, folder_at_start().name + "/");
    if (unknown) return name; // there is no /proc
    const bool by_descriptor = name.starts_with("/dev/fd/") || name.starts_with("/proc/");
    return !by_descriptor && std::filesystem::equivalent(name, "/proc/self/exe", unknown) ? name : file;
}

COHORT_DECL const std::string& own_program() {
    static const std::string name = name_program();
    return name;
}

COHORT_DECL void follow_folder() noexcept {
    const NamedFolder& start = folder_at_start();
    struct stat here {};
    if (start.name.empty() || ::stat(".", &here) != 0 || !is_same_file(here, start.status)) return;
    // Where the name leads nowhere by now, the program keeps the folder that it has.
    [[maybe_unused]] const int failed = ::chdir(start.name.c_str());
}

struct NumberedFile {
    int fd;
    struct stat status;
};

COHORT_DECL std::vector<NumberedFile> open_files() {
    std::vector<NumberedFile> files;
    std::error_code error;
    std::filesystem::directory_iterator entry("/proc/self/fd", error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        const int fd = std::atoi(entry->path().filename().c_str());
        struct stat status {};
        if (::fstat(fd, &status) == 0) files.push_back({fd, status});
    }
    return files;
}

COHORT_DECL const std::vector<NumberedFile>& files_at_start() {
    static const std::vector<NumberedFile> files = open_files();
    return files;
}

COHORT_DECL bool ignored_hangup_at_start() {
    static const bool ignored = has_action(SIGHUP, SIG_IGN);
    return ignored;
}

/// Before the program's own static objects are made, which may open files.
[[gnu::constructor(101)]] COHORT_DECL void remember_start() {
    open_standard_descriptors();
    ignored_hangup_at_start();
    files_at_start();
    own_arguments();
    own_program();
    folder_at_start();
}

COHORT_DECL void close_opened(std::span<const int> keep) {
    for (const NumberedFile& file : open_files()) {
        const auto is_it = [&file](const NumberedFile& other) {
            return other.fd == file.fd && is_same_file(other.status, file.status);
        };
        const bool is_kept = file.fd <= STDERR_FILENO || std::ranges::find(keep, file.fd) != keep.end();
        if (!is_kept && std::ranges::none_of(files_at_start(), is_it)) ::close(file.fd);
    }
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of crash_files.hpp (layer 2).
#pragma once

#include <cohort/detail/logs/crash_files.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/private_folder.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL UniqueFd CrashFiles::open(std::error_code& error) const {
    error = prepare_folder_of(folder_ + "/file", false);
    if (error) return {};
    UniqueFd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) error = last_error();
    return folder;
}

COHORT_DECL std::error_code CrashFiles::prepare() const {
    std::error_code error;
    const UniqueFd folder = open(error);
    if (!error && ::faccessat(folder.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) error = last_error();
    return error;
}

COHORT_DECL std::error_code write_file(int file, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(file, text.data(), text.size());
        if (written < 0 && errno != EINTR) return last_error();
        text.remove_prefix(static_cast<std::size_t>(std::max(written, ssize_t{0})));
    }
    return ::fsync(file) == 0 ? std::error_code() : last_error();
}

/// crash-2026-11-30T14:40:35.123456Z-worker-3.txt, and nothing that somebody else has called otherwise.
COHORT_DECL bool is_report(std::string_view name) {
    constexpr std::string_view form = "crash-0000-00-00T00:00:00.000000Z-worker-";
    constexpr std::string_view end = ".txt";
    if (name.size() <= form.size() + end.size() || !name.ends_with(end)) return false;
    const auto fits = [](char wanted, char c) { return wanted == '0' ? c >= '0' && c <= '9' : c == wanted; };
    return std::equal(form.begin(), form.end(), name.begin(), fits);
}

COHORT_DECL void remove_oldest(int folder, const std::string& newest) {
    const std::unique_ptr<DIR, int (*)(DIR*)> files(::fdopendir(::fcntl(folder, F_DUPFD_CLOEXEC, 0)), &::closedir);
    if (!files) return;
    std::vector<std::string> names;
    while (const dirent* const entry = ::readdir(files.get()))
        if (is_report(entry->d_name) && entry->d_name != newest) names.emplace_back(entry->d_name);
    std::ranges::sort(names);
    for (std::size_t i = 0; i + CrashFiles::most <= names.size(); ++i) ::unlinkat(folder, names[i].c_str(), 0);
}

COHORT_DECL std::error_code CrashFiles::write(const std::string& name, std::string_view text) const {
    const std::string part = name + ".part";
    std::error_code error;
    const UniqueFd folder = open(error); // someone may have removed it
    if (error) return error;
    ::unlinkat(folder.get(), part.c_str(), 0); // of a writer that was killed
    const UniqueFd file(::openat(folder.get(), part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) return last_error();
    error = write_file(file.get(), text);
    if (!error && ::renameat(folder.get(), part.c_str(), folder.get(), name.c_str()) != 0) error = last_error();
    if (error) ::unlinkat(folder.get(), part.c_str(), 0);
    remove_oldest(folder.get(), name);
    return error;
}

} // namespace cohort::detail

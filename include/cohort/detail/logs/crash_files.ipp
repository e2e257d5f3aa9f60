// SPDX-License-Identifier: MIT
// The bodies of crash_files.hpp (layer 2).
#pragma once

#include <cohort/detail/logs/crash_files.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::error_code CrashFiles::prepare() const {
    if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) return last_error();
    const UniqueFd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return last_error();
    if (::faccessat(folder.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) return last_error();
    return {};
}

COHORT_DECL std::error_code write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(file, text.data(), text.size());
        if (written < 0 && errno != EINTR) return last_error();
        text.remove_prefix(static_cast<std::size_t>(std::max(written, ssize_t{0})));
    }
    return {};
}

COHORT_DECL std::error_code CrashFiles::write(std::string_view name, std::string_view text) const {
    const std::string path = folder_ + "/" + std::string(name);
    const std::string part = path + ".part";
    if (const auto error = prepare()) return error; // someone may have removed it
    ::unlink(part.c_str());                         // of a writer that was killed
    std::error_code error;
    {
        const UniqueFd file(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!file) return last_error();
        error = write_all(file.get(), text);
    }
    if (!error && ::rename(part.c_str(), path.c_str()) != 0) error = last_error();
    if (error) ::unlink(part.c_str());
    remove_oldest();
    return error;
}

COHORT_DECL void CrashFiles::remove_oldest() const {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(folder_.c_str()), &::closedir);
    if (!folder) return;
    std::vector<std::string> names;
    while (const dirent* const entry = ::readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        if (name.starts_with("crash-") && name.ends_with(".txt")) names.emplace_back(name);
    }
    std::ranges::sort(names);
    for (std::size_t i = 0; i + most < names.size(); ++i) ::unlinkat(::dirfd(folder.get()), names[i].c_str(), 0);
}

} // namespace cohort::detail

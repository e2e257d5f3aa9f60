// SPDX-License-Identifier: MIT
// The bodies of private_folder.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/private_folder.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/own_link.hpp>

#include <cerrno>

#include <sys/stat.h>

namespace cohort::detail {

COHORT_DECL std::error_code prepare_folder_of(const std::string& path, bool others_may_reach_it) {
    const auto slash = path.rfind('/');
    std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
    if (folder.empty()) folder = "/";
    const mode_t mode = others_may_reach_it ? 0711 : 0700;
    if (::mkdir(folder.c_str(), mode) == 0) {
        if (::chmod(folder.c_str(), mode) == 0) return {}; // whatever the umask is
        return {errno, std::system_category()};
    }
    if (errno != EEXIST) return {errno, std::system_category()};
    struct stat link {};
    struct stat target {};
    if (::lstat(folder.c_str(), &link) != 0 || ::stat(folder.c_str(), &target) != 0)
        return {errno, std::system_category()};
    if (!S_ISDIR(target.st_mode)) return {ENOTDIR, std::system_category()};
    constexpr mode_t others_write = S_IWGRP | S_IWOTH;
    const bool others_may = (target.st_mode & others_write) != 0 && (target.st_mode & S_ISVTX) == 0;
    if (!is_mine_or_roots(link) || !is_mine_or_roots(target) || others_may) return {EPERM, std::system_category()};
    return {};
}

} // namespace cohort::detail

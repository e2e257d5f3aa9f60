// SPDX-License-Identifier: MIT
// The folder of a socket that only some may use (layer 2).
#pragma once

#include <string>
#include <system_error>

namespace cohort::detail {

/// Makes the folder of `path` if it is missing, with the mode 0700, or 0711 when others may reach the file. One that is
/// there must be this user's or root's, and nobody else may make or replace files in it, but in one whose sticky bit is
/// set. Errors: EPERM: it is not so; ENOENT, EACCES, ENOTDIR and others of mkdir(2).
std::error_code prepare_folder_of(const std::string& path, bool others_may_reach_it);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/private_folder.ipp>
#endif

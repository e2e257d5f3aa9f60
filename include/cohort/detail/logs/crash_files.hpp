// SPDX-License-Identifier: MIT
// CrashFiles: a folder with the reports of the last crashes (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

namespace cohort::detail {

/// Blocks for as long as the disk does. Nobody sees half of a file: it has its name when it is whole, and on the disk.
class CrashFiles {
public:
    /// How many are kept, of all masters together that use the folder.
    static constexpr std::size_t most = 100;

    explicit CrashFiles(std::string folder) : folder_(std::move(folder)) {}

    /// Makes the folder, for this user alone, if it is missing. Why nothing can be written there; EPERM: others may
    /// replace what is in it.
    std::error_code prepare() const;
    /// A file of this name, instead of one that is there. Of more than `most` the oldest go, by their names.
    std::error_code write(const std::string& name, std::string_view text) const;

private:
    UniqueFd open(std::error_code& error) const;

    std::string folder_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/crash_files.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of rotated_files.hpp (layer 2).
#pragma once

#include <cohort/detail/logs/rotated_files.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <cstdio>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL bool RotatedFiles::has(unsigned number) const {
    return ::access(name(number).c_str(), F_OK) == 0 || ::access(compressed_name(number).c_str(), F_OK) == 0;
}

COHORT_DECL bool RotatedFiles::shift() const {
    if (keep_ == 0) return ::unlink(log_.c_str()) == 0;
    unsigned last = 1; // the first place that is free, or else the last one
    while (last < keep_ && has(last)) ++last;
    ::unlink(name(last).c_str());
    ::unlink(compressed_name(last).c_str());
    for (; last > 1; --last) {
        ::rename(name(last - 1).c_str(), name(last).c_str());
        ::rename(compressed_name(last - 1).c_str(), compressed_name(last).c_str());
    }
    return ::rename(log_.c_str(), name(1).c_str()) == 0;
}

COHORT_DECL bool is_regular_file(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

COHORT_DECL unsigned RotatedFiles::find_uncompressed() const {
    unsigned found = 0;
    for (unsigned number = 2; number <= keep_ && has(number); ++number)
        if (is_regular_file(name(number))) found = number; // others may be there: links, what somebody has put there
    return found;
}

COHORT_DECL bool RotatedFiles::replace(const struct stat& file, const std::string& compressed) const {
    for (unsigned number = 1; number <= keep_ && has(number); ++number) {
        struct stat found {};
        if (::stat(name(number).c_str(), &found) != 0 || !is_same_file(found, file)) continue;
        const bool is_placed = ::rename(compressed.c_str(), compressed_name(number).c_str()) == 0;
        return is_placed && ::unlink(name(number).c_str()) == 0;
    }
    return ::unlink(compressed.c_str()) == 0;
}

} // namespace cohort::detail

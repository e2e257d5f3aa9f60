// SPDX-License-Identifier: MIT
// RotatedFiles: what became of a log's former files: log.1, the last one, log.2.gz, ... (layer 2).
#pragma once

#include <string>
#include <utility>

#include <sys/stat.h>

namespace cohort::detail {

/// Only whoever holds the FileLock of the log itself changes them.
class RotatedFiles {
public:
    RotatedFiles(std::string log, unsigned keep) : log_(std::move(log)), keep_(keep) {}

    /// The log becomes the first of them, each one the next, and the last one goes. errno: it has failed.
    bool shift() const;
    /// The oldest one that is not compressed. The first one does not count: the writer of another master, before or
    /// after an upgrade, may still be about to write to it. 0: none.
    unsigned find_uncompressed() const;
    /// `compressed` takes the place of this file, wherever it stands by now, and goes if that is not there any more.
    /// False: the system refuses it.
    bool replace(const struct stat& file, const std::string& compressed) const;

    std::string name(unsigned number) const { return log_ + "." + std::to_string(number); }
    std::string compressed_name(unsigned number) const { return name(number) + ".gz"; }

private:
    bool has(unsigned number) const;

    std::string log_;
    unsigned keep_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/rotated_files.ipp>
#endif

// SPDX-License-Identifier: MIT
// PidFile: which process a service is, and that it is one at a time (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <string>
#include <utility>

#include <sys/types.h>

namespace cohort::detail {

/// The path from the root, whatever becomes the working folder; an empty one stays so.
std::string absolute_path(const std::string& path);

/// A file with the number of a process, which has it locked (flock(2)) for as long as it lives: a number alone may be
/// another process's by now. Its content is replaced by a rename(2), so whoever reads it finds a whole number, and a
/// lock on the old file as well as on the new one.
class PidFile {
public:
    /// There is none.
    PidFile() = default;
    /// `path`: absolute. Takes one that a dead process has left. Throws std::system_error: EBUSY, with the number of
    /// the process that has it; what open(2) and rename(2) say.
    explicit PidFile(std::string path);
    /// The file of the process before, which still has it.
    PidFile(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    PidFile(PidFile&& other) noexcept;
    PidFile& operator=(PidFile&& other) noexcept;
    /// Removes it, if it is this process's.
    ~PidFile() { remove(); }

    const std::string& path() const noexcept { return path_; }
    /// Whoever has a copy of it has the lock; -1: there is no file.
    int descriptor() const noexcept { return lock_.get(); }
    /// The process before has left it to this one. Throws as the constructor does.
    void take_over();
    /// Another process takes it over.
    void leave() noexcept { owner_ = 0; }

private:
    bool is_in_place() const noexcept;
    void write();
    void remove() noexcept;

    std::string path_{};
    UniqueFd lock_{};
    pid_t owner_ = 0; // this process, not a forked copy of it; 0: it is another's
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/pid_file.ipp>
#endif

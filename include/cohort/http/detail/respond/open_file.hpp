// SPDX-License-Identifier: MIT
// Files that are opened to be sent, and no others (layer 2).
#pragma once

#include <cohort/detail/system/system.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::http::detail {

/// Owns a descriptor. It is not among those that a forked worker closes: what was open before the fork is for all.
class OpenFile {
public:
    OpenFile() = default;
    OpenFile(OpenFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), facts_(other.facts_) {}
    OpenFile& operator=(OpenFile&& other) noexcept;
    ~OpenFile() {
        if (fd_ >= 0) ::close(fd_);
    }

    /// Opens a file or a folder; with `only_folder`, a folder only to open others beneath it.
    static OpenFile open(const std::string& path, bool only_folder, std::error_code& error) {
        const int flags = only_folder ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK | O_NOCTTY;
        return OpenFile(::open(path.c_str(), flags | O_CLOEXEC), error);
    }

    /// One beneath this folder: no symbolic link and no ".." leads out of it (openat2(2), or a FolderWalk).
    OpenFile open_beneath(const std::string& path, std::error_code& error) const;

    bool is_file() const noexcept { return S_ISREG(facts_.st_mode); }
    bool is_folder() const noexcept { return S_ISDIR(facts_.st_mode); }
    std::uint64_t size() const noexcept { return static_cast<std::uint64_t>(facts_.st_size); }
    timespec modified() const noexcept { return facts_.st_mtim; }

    /// Up to `size` bytes from there; 0 at the end of the file.
    std::size_t read_at(std::uint64_t offset, char* bytes, std::size_t size, std::error_code& error) const;

private:
    OpenFile(int fd, std::error_code& error) : fd_(fd) {
        if (fd_ < 0 || ::fstat(fd_, &facts_) != 0) error = cohort::detail::last_error();
    }

    int fd_ = -1;
    struct stat facts_ {};
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/respond/open_file.ipp>
#endif

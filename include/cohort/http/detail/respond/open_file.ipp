// SPDX-License-Identifier: MIT
// The bodies of open_file.hpp (layer 2).
#pragma once

#include <cohort/http/detail/respond/open_file.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/respond/folder_walk.hpp>

#include <cerrno>

namespace cohort::http::detail {

COHORT_DECL OpenFile& OpenFile::operator=(OpenFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(facts_, other.facts_);
    return *this;
}

COHORT_DECL OpenFile OpenFile::open_beneath(const std::string& path, std::error_code& error) const {
    int fd = -1;
    // openat2(2) fails with EAGAIN when something is renamed during the lookup.
    for (int attempt = 0; attempt != 16; ++attempt) {
        fd = cohort::detail::System::current().open_beneath(fd_, path.c_str());
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    }
    // A filter of system calls that does not know openat2(2) gives ENOSYS or EPERM (seccomp(2)), and an absolute link
    // is EXDEV also where it ends in the folder. Beneath a folder nothing else gives EPERM to who only reads.
    if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EXDEV)) fd = FolderWalk(fd_, facts_).open(path);
    return OpenFile(fd, error);
}

COHORT_DECL std::size_t OpenFile::read_at(std::uint64_t offset, char* bytes, std::size_t size,
                                          std::error_code& error) const {
    ssize_t count = -1;
    do count = cohort::detail::System::current().pread(fd_, bytes, size, static_cast<off_t>(offset));
    while (count < 0 && errno == EINTR);
    if (count >= 0) return static_cast<std::size_t>(count);
    error = cohort::detail::last_error();
    return 0;
}

} // namespace cohort::http::detail

// SPDX-License-Identifier: MIT
#include "home.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace manager {

namespace {

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

[[noreturn]] void fail(const std::string& what, int error = errno) {
    throw std::system_error(error, std::system_category(), what);
}

void make_private(const std::string& folder) {
    std::filesystem::create_directories(std::filesystem::path(folder).parent_path());
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) fail(folder);
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) fail(folder);
    if (!S_ISDIR(status.st_mode)) fail(folder, ENOTDIR);
    if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        fail(folder + " is not this user's alone", EPERM);
    if ((status.st_mode & 077) != 0 && ::chmod(folder.c_str(), 0700) != 0) fail(folder);
}

} // namespace

Home::Home() {
    if (const std::string home = variable("COHORT_HOME"); !home.empty()) {
        state_ = sockets_ = std::filesystem::absolute(home).lexically_normal().native();
    } else if (::geteuid() == 0) {
        state_ = "/var/lib/cohort";
        sockets_ = "/run/cohort";
    } else {
        const std::string state = variable("XDG_STATE_HOME");
        const std::string run = variable("XDG_RUNTIME_DIR");
        state_ = (state.empty() ? variable("HOME") + "/.local/state" : state) + "/cohort";
        sockets_ = run.empty() ? state_ : run + "/cohort";
    }
    while (state_.size() > 1 && state_.back() == '/') state_.pop_back();
    while (sockets_.size() > 1 && sockets_.back() == '/') sockets_.pop_back();
    make_private(state_);
    make_private(sockets_);
    make_private(state_ + "/logs");
}

std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void replace_file(const std::string& path, const std::string& text) {
    const std::string fresh = path + ".new";
    const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) fail(fresh);
    std::size_t written = 0;
    int error = 0;
    while (written < text.size() && error == 0) {
        const ssize_t size = ::write(fd, text.data() + written, text.size() - written);
        if (size >= 0)
            written += static_cast<std::size_t>(size);
        else if (errno != EINTR)
            error = errno;
    }
    if (error == 0 && ::fdatasync(fd) != 0) error = errno;
    ::close(fd);
    if (error == 0 && ::rename(fresh.c_str(), path.c_str()) != 0) error = errno;
    if (error == 0) return;
    ::unlink(fresh.c_str());
    fail(path, error);
}

pid_t holder_of(const std::string& pid_file) {
    const int fd = ::open(pid_file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const bool is_held = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(fd);
    return is_held ? std::atoi(content_of(pid_file).c_str()) : 0;
}

} // namespace manager

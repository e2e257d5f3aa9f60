// SPDX-License-Identifier: MIT
#include "process.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace test {

bool readable_within(int fd, std::chrono::milliseconds time) {
    pollfd poll{fd, POLLIN, 0};
    const auto end = std::chrono::steady_clock::now() + time;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        const int result = ::poll(&poll, 1, static_cast<int>(std::max(left, std::chrono::milliseconds(0)).count()));
        if (result >= 0) return result == 1;
    }
}

Watched::Watched(pid_t pid) : fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {
    if (fd_ < 0 && errno != ESRCH) throw std::runtime_error("pidfd_open");
}

Watched::Watched(Watched&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Watched::~Watched() {
    if (fd_ < 0) return;
    ::syscall(SYS_pidfd_send_signal, fd_, SIGKILL, nullptr, 0);
    ::close(fd_);
}

bool Watched::ends_within(std::chrono::milliseconds time) const { return fd_ < 0 || readable_within(fd_, time); }

Helper::~Helper() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    ::close(output_);
}

bool Helper::begin() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    std::cout.flush();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::dup2(ends[1], STDOUT_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
        ::alarm(60);
        return false;
    }
    ::close(ends[1]);
    output_ = ends[0];
    return true;
}

void Helper::complain(const std::exception& error) { std::cerr << "helper: " << error.what() << std::endl; }

void Helper::end(int code) {
    std::cout.flush();
    ::_exit(code);
}

void Helper::signal(int number) const { ::kill(pid_, number); }

std::optional<std::string> Helper::line() {
    std::size_t end = 0;
    while ((end = text_.find('\n')) == std::string::npos)
        if (!read_more()) return std::nullopt;
    std::string result = text_.substr(0, end);
    text_.erase(0, end + 1);
    return result;
}

std::string Helper::after(const std::string& prefix) {
    while (const auto one = line())
        if (one->starts_with(prefix)) return one->substr(prefix.size());
    throw std::runtime_error("the helper did not say '" + prefix + "'");
}

int Helper::number_after(const std::string& prefix) { return std::stoi(after(prefix)); }

std::string Helper::rest() {
    while (read_more()) {
    }
    return std::exchange(text_, {});
}

cohort::ExitStatus Helper::wait() {
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    const bool ended = readable_within(fd, std::chrono::seconds(30));
    ::close(fd);
    if (!ended) throw std::runtime_error("the helper did not end");
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(std::exchange(pid_, 0)), &info, WEXITED);
    return cohort::ExitStatus::from_wait(info.si_code, info.si_status);
}

bool Helper::read_more() {
    if (!readable_within(output_, std::chrono::seconds(30))) throw std::runtime_error("the helper is silent");
    char buffer[65536];
    const ssize_t count = ::read(output_, buffer, sizeof buffer);
    if (count > 0) text_.append(buffer, static_cast<std::size_t>(count));
    return count > 0;
}

pid_t parent_of(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string name, state;
    pid_t parent = 0;
    stat >> pid >> name >> state >> parent; // no name here has a blank
    return parent;
}

std::vector<pid_t> children_of(pid_t pid) {
    const std::string number = std::to_string(pid);
    std::ifstream list("/proc/" + number + "/task/" + number + "/children");
    std::vector<pid_t> children;
    for (pid_t child = 0; list >> child;) children.push_back(child);
    return children;
}

bool is_pending(int signal, pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(status, line);)
        if ((line.starts_with("ShdPnd:") || line.starts_with("SigPnd:")) &&
            (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0)
            return true;
    return false;
}

std::chrono::nanoseconds cpu_time() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

DescriptorLimit::DescriptorLimit(unsigned long most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{std::min<rlim_t>(most, before_.rlim_max), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lowered);
}

DescriptorLimit::~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

unsigned long lowest_free_descriptor() {
    const int next = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
    ::close(next);
    return static_cast<unsigned long>(next);
}

void make_connections_block(unsigned short port) {
    for (const auto& [fd, file] : open_descriptors()) {
        sockaddr_in own{};
        sockaddr_in peer{};
        socklen_t own_size = sizeof own;
        socklen_t peer_size = sizeof peer;
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 && own.sin_family == AF_INET &&
            ntohs(own.sin_port) == port && ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0)
            ::fcntl(fd, F_SETFL, O_RDWR);
    }
}

std::map<int, std::string> open_descriptors() {
    std::map<int, std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code error;
        const std::string target = std::filesystem::read_symlink(entry.path(), error);
        if (!error && !target.ends_with("/fd")) result[std::atoi(entry.path().filename().c_str())] = target;
    }
    return result;
}

} // namespace test

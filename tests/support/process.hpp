// SPDX-License-Identifier: MIT
// Processes beside the test: a forked helper with a pipe from its standard output, and what can be seen of others.
#pragma once

#include <cohort/exit_status.hpp>

#include <chrono>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <sys/types.h>

namespace test {

/// Whether this is so, or becomes so within the time; for what no event tells of.
template <class Predicate>
bool eventually(Predicate is_so, std::chrono::steady_clock::duration time = std::chrono::seconds(5)) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (!is_so()) { // asked once: what was so need not be so again
        if (std::chrono::steady_clock::now() >= deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

/// Waits until the descriptor is readable; false when the time has passed.
bool readable_within(int fd, std::chrono::milliseconds time);

/// Sees the end of a process, also of one that is nobody's child here, or has ended.
class Watched {
public:
    explicit Watched(pid_t pid);
    Watched(Watched&& other) noexcept;
    Watched& operator=(Watched&&) = delete;
    /// It must not outlive the test, whatever went wrong.
    ~Watched();
    bool ends_within(std::chrono::milliseconds time) const;

private:
    int fd_;
};

/// A forked process that runs a function and exits with its result.
class Helper {
public:
    template <class Body>
    explicit Helper(Body body) {
        if (!begin()) live(body);
    }
    Helper(const Helper&) = delete;
    Helper& operator=(const Helper&) = delete;
    ~Helper();

    pid_t pid() const noexcept { return pid_; }
    void signal(int number) const;

    /// The next line of its standard output, or of its workers'; nothing at the end.
    std::optional<std::string> line();
    /// A line that begins so; gives the rest of it. Others are skipped.
    std::string after(const std::string& prefix);
    int number_after(const std::string& prefix);
    /// Everything until nobody can write there any more.
    std::string rest();
    cohort::ExitStatus wait();

private:
    template <class Body>
    [[noreturn]] static void live(Body& body) noexcept {
        int code = 120;
        try {
            code = body();
        } catch (const std::exception& error) {
            complain(error);
        }
        end(code);
    }
    /// Forks; false in the new process.
    bool begin();
    static void complain(const std::exception& error);
    [[noreturn]] static void end(int code);
    bool read_more();

    pid_t pid_ = 0;
    int output_ = -1;
    std::string text_;
};

pid_t parent_of(pid_t pid); ///< 0: it is gone
std::vector<pid_t> children_of(pid_t pid);
/// Whether this signal was sent to the process and it has not taken it yet (others, as SIGCHLD, come at any time).
bool is_pending(int signal, pid_t pid);

/// What this process has computed; unlike time, another process's load does not change it.
std::chrono::nanoseconds cpu_time();

/// The connections of this process that came in at this port wait from now on, as whoever else holds them can have it
/// (O_NONBLOCK, fcntl(2)).
void make_connections_block(unsigned short port);

/// As many descriptors as this process, and those that it forks, may have (RLIMIT_NOFILE), for as long as it lives; no
/// more than it may be given.
class DescriptorLimit {
public:
    explicit DescriptorLimit(unsigned long most);
    DescriptorLimit(const DescriptorLimit&) = delete;
    DescriptorLimit& operator=(const DescriptorLimit&) = delete;
    ~DescriptorLimit();

private:
    rlimit before_{};
};

/// The lowest number that a descriptor of this process may get: with it as the limit none can be opened.
unsigned long lowest_free_descriptor();

/// The open descriptors of this process and what each is, as /proc/self/fd says.
std::map<int, std::string> open_descriptors();

} // namespace test

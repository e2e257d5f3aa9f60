// SPDX-License-Identifier: MIT
#include "client.hpp"

#include <cohort/control.hpp>

#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace manager {

namespace {

using namespace cohort;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Of a session of its own, with nothing of this process's but its environment. Returns a process that ends when the
/// daemon is begun: nobody has to reap the daemon.
void start_daemon(const Home& home) {
    const pid_t helper = ::fork();
    if (helper < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (helper > 0) {
        ::waitpid(helper, nullptr, 0);
        return;
    }
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    const int nothing = ::open("/dev/null", O_RDWR);
    const int log = ::open(home.daemon_log().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(log < 0 ? nothing : log, STDOUT_FILENO);
    ::dup2(log < 0 ? nothing : log, STDERR_FILENO);
    ::syscall(SYS_close_range, 3, ~0U, 0);
    [[maybe_unused]] const int failed = ::chdir("/");
    ::execl("/proc/self/exe", "cohort", "daemon", nullptr);
    ::_exit(127);
}

Task<std::optional<control::Client>> try_to_reach(asio::any_io_executor executor, std::string path) {
    try {
        control::Client client = co_await control::Client::connect(executor, path);
        co_return client;
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::no_such_file_or_directory && error.code() != std::errc::connection_refused)
            throw;
    }
    co_return std::nullopt;
}

} // namespace

Task<control::Client> reach_daemon(asio::io_context& io, const Home& home, bool start) {
    auto client = co_await try_to_reach(io.get_executor(), home.daemon_socket());
    if (!client && !start) throw std::runtime_error("no daemon runs for " + home.state());
    if (!client) start_daemon(home);
    for (const auto deadline = Clock::now() + 10s; !client;) {
        if (Clock::now() > deadline) throw std::runtime_error("the daemon does not start; see " + home.daemon_log());
        asio::steady_timer moment(io, 2ms);
        co_await moment.async_wait(asio::use_awaitable);
        client = co_await try_to_reach(io.get_executor(), home.daemon_socket());
    }
    co_return *client;
}

} // namespace manager

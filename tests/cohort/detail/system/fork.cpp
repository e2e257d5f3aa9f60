// SPDX-License-Identifier: MIT
#include <cohort/detail/system/fork.hpp>

#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <cohort/detail/system/fd_passing.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>

using cohort::Errc;
using cohort::ExitStatus;
using namespace cohort::detail;

namespace {

/// fork_process() with a body; what it returns is the exit code.
template <class Body>
Process fork_with(Body body) {
    Process process = fork_process();
    if (process.pid != 0) return process;
    ::alarm(30);
    ::_exit(body());
}

bool ends_within(int pidfd, int milliseconds) {
    pollfd ended{pidfd, POLLIN, 0};
    return ::poll(&ended, 1, milliseconds) == 1;
}

std::set<int> open_descriptors() {
    std::set<int> result;
    for (int fd = 0; fd < 1024; ++fd)
        if (::fcntl(fd, F_GETFD) >= 0) result.insert(fd);
    return result;
}

std::string read_all(int fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::read(fd, buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(count));
    return text;
}

struct Pipe {
    Pipe() {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        read = UniqueFd(ends[0]);
        write = UniqueFd(ends[1]);
    }
    UniqueFd read;
    UniqueFd write;
};

} // namespace

/// A kernel, or a filter in front of it, that has no pidfds.
struct NoPidfd final : System {
    explicit NoPidfd(int its_error) : error(its_error) {}
    int pidfd_open(pid_t) noexcept override {
        errno = error;
        return -1;
    }
    int error;
    Replace replace{*this};
};

TEST_CASE("where there are no pidfds, the same is known of a process") {
    for (const int error : {ENOSYS, EPERM, EACCES, EINVAL}) {
        CAPTURE(error);
        const NoPidfd system(error);
        const auto exits = fork_with([] { return 7; });
        CHECK(exits.pidfd);
        while (!has_ended(exits.pidfd.get())) CHECK(ends_within(exits.pidfd.get(), 10'000)); // it is time to look
        CHECK(send_signal(exits.pidfd.get(), SIGKILL) == std::errc::no_such_process);
        CHECK(reap(exits.pidfd.get()) == ExitStatus::exited(7));
        CHECK(reap(exits.pidfd.get()) == ExitStatus::unknown());
        CHECK(send_signal(exits.pidfd.get(), SIGKILL) == std::errc::no_such_process);

        const auto killed = fork_with([] { return ::pause(); });
        CHECK_FALSE(reap(killed.pidfd.get()));
        CHECK_FALSE(has_ended(killed.pidfd.get()));
        CHECK_FALSE(send_signal(killed.pidfd.get(), SIGKILL));
        CHECK(reap(killed.pidfd.get(), true) == ExitStatus::signaled(SIGKILL));

        const auto taken = fork_with([] { return 7; });
        REQUIRE(::waitpid(taken.pid, nullptr, 0) == taken.pid);
        CHECK(has_ended(taken.pidfd.get()));
        CHECK(send_signal(taken.pidfd.get(), SIGKILL) == std::errc::no_such_process);
        CHECK(reap(taken.pidfd.get(), true) == ExitStatus::unknown());
    }
}

TEST_CASE("a pidfd is taken for one although its number was that of a timer") {
    int number = -1;
    {
        const NoPidfd system(ENOSYS);
        const auto process = fork_with([] { return 7; });
        number = process.pidfd.get();
        CHECK(reap(process.pidfd.get(), true) == ExitStatus::exited(7));
    }
    const auto process = fork_with([] { return ::pause(); });
    CHECK(process.pidfd.get() == number);
    CHECK_FALSE(send_signal(process.pidfd.get(), SIGKILL));
    CHECK(reap(process.pidfd.get(), true) == ExitStatus::signaled(SIGKILL));
}

TEST_CASE("another refusal of pidfd_open reaches the caller, and leaves no child") {
    const NoPidfd system(EMFILE);
    std::error_code error;
    try {
        fork_with([] { return ::pause(); });
    } catch (const std::system_error& failure) {
        error = failure.code();
    }
    CHECK(error == std::errc::too_many_files_open);
    siginfo_t info{};
    CHECK(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0);
}

TEST_CASE("the end of a process is known by its pidfd: a code or a signal") {
    const auto exits = fork_with([] { return 7; });
    REQUIRE(ends_within(exits.pidfd.get(), 10'000));
    CHECK(reap(exits.pidfd.get()) == ExitStatus::exited(7));
    CHECK(reap(exits.pidfd.get()) == ExitStatus::unknown()); // it was said once

    const auto killed = fork_with([] { return ::pause(); });
    CHECK_FALSE(reap(killed.pidfd.get()));
    CHECK_FALSE(send_signal(killed.pidfd.get(), SIGKILL));
    CHECK(reap(killed.pidfd.get(), true) == ExitStatus::signaled(SIGKILL));
    CHECK(send_signal(killed.pidfd.get(), SIGKILL) == std::errc::no_such_process);
}

TEST_CASE("the end of a process is known also when somebody else took its status") {
    const auto taken = fork_with([] { return 7; });
    REQUIRE(::waitpid(taken.pid, nullptr, 0) == taken.pid);
    CHECK(reap(taken.pidfd.get()) == ExitStatus::unknown());
    CHECK(reap(taken.pidfd.get(), true) == ExitStatus::unknown());
}

TEST_CASE("how children end is not lost to a program that was started with SIGCHLD ignored") {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    struct sigaction no_wait {};
    no_wait.sa_handler = [](int) {};
    no_wait.sa_flags = SA_NOCLDWAIT;
    for (const struct sigaction& found : {ignore, no_wait}) {
        const auto program = fork_with([&found] {
            ::sigaction(SIGCHLD, &found, nullptr);
            keep_exit_statuses();
            const auto child = fork_with([] { return 5; });
            const auto status = reap(child.pidfd.get(), true);
            return status ? status->code().value_or(1) : 2;
        });
        CHECK(reap(program.pidfd.get(), true) == ExitStatus::exited(5));
    }
}

/// Sets what lives in the process of a test; the previous actions come back at the end.
struct Disposition {
    Disposition(int its_signal, void (*handler)(int)) : signal(its_signal) {
        struct sigaction action {};
        action.sa_handler = handler;
        ::sigaction(signal, &action, &previous);
    }
    Disposition(const Disposition&) = delete;
    Disposition& operator=(const Disposition&) = delete;
    ~Disposition() { ::sigaction(signal, &previous, nullptr); }
    int signal;
    struct sigaction previous {};
};
constexpr int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

TEST_CASE("a child keeps handlers of crashes, and no others") {
    static const auto handler = [](int) {};
    for (const int kept : crashes) {
        const Disposition set(kept, handler);
        const Disposition ignored(kept == SIGFPE ? SIGILL : SIGFPE, SIG_IGN);
        const Disposition other(SIGUSR1, handler);
        const auto process = fork_with([kept] {
            for (int signal = 1; signal < NSIG; ++signal) {
                struct sigaction action {};
                if (::sigaction(signal, nullptr, &action) != 0) continue;
                const bool is_crash = std::ranges::count(crashes, signal) != 0;
                if (signal == kept && action.sa_handler != +handler) return 1;
                if (action.sa_handler == SIG_IGN) return 2;
                if (!is_crash && action.sa_handler != SIG_DFL) return 3;
            }
            return 0;
        });
        CHECK(reap(process.pidfd.get(), true) == ExitStatus::exited(0));
    }
}

TEST_CASE("a child begins with default signal actions and none blocked") {
    auto* const previous = ::signal(SIGUSR1, SIG_IGN);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigset_t before;
    ::sigprocmask(SIG_BLOCK, &mask, &before);

    const auto process = fork_with([] {
        sigset_t blocked;
        ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
        for (int signal = 1; signal < NSIG; ++signal) {
            struct sigaction action {};
            if (sigismember(&blocked, signal) == 1) return 1;
            if (std::ranges::count(crashes, signal) != 0) continue; // the test framework's or the tool chain's
            if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) return 2;
        }
        return 0;
    });
    CHECK(reap(process.pidfd.get(), true) == ExitStatus::exited(0));

    sigset_t after;
    ::sigprocmask(SIG_SETMASK, &before, &after);
    CHECK(sigismember(&after, SIGUSR2) == 1);
    CHECK(sigismember(&after, SIGUSR1) == 0);
    ::signal(SIGUSR1, previous);
}

TEST_CASE("a child has the signal actions that it is given before any signal can arrive") {
    Process process = fork_process(AfterFork::lives, [] {
        sigset_t blocked;
        ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
        if (sigismember(&blocked, SIGTERM) != 1) ::_exit(3);
        ::signal(SIGTERM, [](int) { ::_exit(5); });
    });
    if (process.pid == 0) {
        ::raise(SIGTERM);
        ::_exit(4);
    }
    CHECK(reap(process.pidfd.get(), true) == ExitStatus::exited(5));
}

TEST_CASE("with a second thread fork is refused, and possible again when that has ended") {
    std::mutex mutex;
    std::condition_variable changed;
    bool leave = false;
    std::thread second([&] {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return leave; });
    });
    CHECK(thread_count() == 2);
    std::error_code error;
    std::string advice;
    try {
        const auto process = fork_with([] { return 0; });
        reap(process.pidfd.get(), true);
    } catch (const std::system_error& refusal) {
        error = refusal.code();
        advice = refusal.what();
    }
    CHECK(error == Errc::multithreaded);
    CHECK_MESSAGE(advice.find("Spawn::exec") != advice.npos, advice);
    const Process program = fork_process(AfterFork::execs);
    if (program.pid == 0) {
        ::execl("/bin/sh", "sh", "-c", "exit 6", nullptr);
        ::_exit(1);
    }
    CHECK(reap(program.pidfd.get(), true) == ExitStatus::exited(6));
    {
        const std::lock_guard lock(mutex);
        leave = true;
    }
    changed.notify_all();
    second.join();
    while (thread_count() > 1) std::this_thread::yield(); // join() returns a moment before the kernel has let go
    const auto process = fork_with([] { return 0; });
    CHECK(reap(process.pidfd.get(), true)->success());
}

TEST_CASE("threads are counted whatever the process is called") {
    char name[16] = {};
    ::prctl(PR_GET_NAME, name);
    for (const char* odd : {"a) R 1 2 3", ") )(", "x y z"}) {
        ::prctl(PR_SET_NAME, odd);
        CHECK(thread_count() == 1);
    }
    ::prctl(PR_SET_NAME, name);
}

TEST_CASE("what fork says reaches the caller") {
    struct NoMemory final : System {
        pid_t fork() noexcept override {
            errno = EAGAIN;
            return -1;
        }
    } system;
    const System::Replace replace(system);
    std::error_code error;
    try {
        fork_process();
    } catch (const std::system_error& failure) {
        error = failure.code();
    }
    CHECK(error == std::errc::resource_unavailable_try_again);
}

TEST_CASE("what is buffered at a fork is written once, what a leaving child buffered is written") {
    Pipe pipe;
    const int code = test::in_child([&] {
        ::dup2(pipe.write.get(), STDOUT_FILENO);
        std::fputs("before ", stdout);
        std::cout << "stream ";
        auto process = fork_process();
        if (process.pid == 0) {
            std::fputs("child", stdout);
            leave_process(5);
        }
        const auto status = reap(process.pidfd.get(), true);
        std::fflush(stdout);
        return status == ExitStatus::exited(5) ? 0 : 1;
    });
    CHECK(code == 0);
    pipe.write.reset();
    const auto text = read_all(pipe.read.get());
    CHECK(text.find("before ") == text.rfind("before "));
    CHECK(text.find("stream ") == text.rfind("stream "));
    CHECK(text.size() == std::string("before stream child").size());
}

TEST_CASE("a child closes cohort's descriptors and the parent's event loop, and nothing of the user's") {
    const auto at_first = open_descriptors();
    asio::io_context io;
    asio::steady_timer timer(io); // makes the loop's epoll set, timer and event descriptors
    auto [mine, kept] = make_socketpair(SOCK_STREAM);
    const Pipe more;
    const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int users_event = ::eventfd(0, 0); // inheritable: meant for the child
    const int users_epoll = ::epoll_create1(0);

    const auto process = fork_with([&] {
        const int keep = kept.get();
        close_inherited(std::span<const int>(&keep, 1));
        std::set<int> expected = at_first;
        expected.insert({keep, file, users_event, users_epoll});
        if (open_descriptors() != expected) return 1;
        if (!OwnedDescriptors::contains(keep) || OwnedDescriptors::all().size() != 1) return 2;
        return 0;
    });
    CHECK(reap(process.pidfd.get(), true) == ExitStatus::exited(0));

    // The parent's loop works as before.
    bool fired = false;
    timer.expires_after(std::chrono::milliseconds(1));
    timer.async_wait([&](std::error_code error) { fired = !error; });
    io.run();
    CHECK(fired);
    for (const int fd : {file, users_event, users_epoll}) ::close(fd);
}

TEST_CASE("a program is started with its arguments and the descriptors that are to stay") {
    Pipe pipe;
    const Pipe other;
    const auto process = fork_with([&] {
        const std::string script = "echo \"$1\" >&" + std::to_string(pipe.write.get()) + "; test -e /proc/self/fd/" +
                                   std::to_string(other.write.get()) + " || exit 6";
        const std::string arguments[] = {"-c", script, "name", "two words"};
        const int keep = pipe.write.get();
        return exec_program("/bin/sh", arguments, std::span<const int>(&keep, 1)).system_error;
    });
    pipe.write.reset();
    CHECK(read_all(pipe.read.get()) == "two words\n");
    CHECK(reap(process.pidfd.get(), true) == ExitStatus::exited(6));

#if !defined(COHORT_SANITIZED) // the sanitizers need /proc
    // Its own arguments are those of its start, whatever /proc says by now.
    constexpr int not_possible_here = 200;
    const auto without_proc = fork_with([] {
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || ::mount("none", "/proc", "tmpfs", 0, nullptr) != 0)
            return not_possible_here;
        const std::string only_says_its_version[] = {"--version", "--no-run"};
        return exec_program("", only_says_its_version, {}).system_error;
    });
    const auto end = reap(without_proc.pidfd.get(), true);
    CHECK((end == ExitStatus::exited(0) || end == ExitStatus::exited(not_possible_here)));
#endif

    const auto missing = fork_with([] { return exec_program("/no/such/program", {}, {}).system_error; });
    CHECK(reap(missing.pidfd.get(), true) == ExitStatus::exited(ENOENT));
}

TEST_CASE("a stuck process does not outlive its killed parent by more than its grace") {
    Pipe pipe;
    const pid_t parent = test::fork_child([&] {
        const auto grandchild = fork_with([&pipe, master = ::getpid()] {
            die_with_parent(master, std::chrono::milliseconds(0));
            char alive = 'a';
            if (::write(pipe.write.get(), &alive, 1) != 1) return 1;
            for (;;) {
            } // a loop that looks at nothing
        });
        return ::pause();
    });
    pipe.write.reset();
    char alive = 0;
    REQUIRE(::read(pipe.read.get(), &alive, 1) == 1);
    ::kill(parent, SIGKILL);
    CHECK(test::wait_for(parent) == -SIGKILL);
    CHECK(ends_within(pipe.read.get(), 10'000)); // the grandchild held the last writing end
    CHECK(::read(pipe.read.get(), &alive, 1) == 0);
}

TEST_CASE("a process whose parent died before it could say so leaves at once") {
    const auto process = fork_with([] {
        die_with_parent(::getpid(), std::chrono::seconds(20)); // is certainly not its parent
        return 0;
    });
    CHECK(reap(process.pidfd.get(), true) == ExitStatus::exited(1));
}

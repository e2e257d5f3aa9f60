// How long until two workers listen, and what does an idle worker cost? Both ways of making workers, in both modes.
// Run:    start [--rounds 50]
// Expect: milliseconds and less than a MiB; exit code 1 otherwise.

#include "private_memory.hpp"

#include <cohort/master.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace cohort;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr unsigned worker_count = 2;
constexpr double longest_start = 10;     // ms
constexpr double largest_private = 1024; // KiB

struct Nothing {};

template <class W>
Task<> idle(W& self) {
    auto listener = co_await self.listen("127.0.0.1:0");
    while (const auto socket = co_await listener.accept()) continue;
}

struct Figures {
    std::vector<double> starts; // ms
    double memory = 0;          // KiB, of the worker that has most
};

template <class A>
Task<> start_once(A& app, Figures& figures) {
    const auto begin = Clock::now();
    for (unsigned i = 0; i < worker_count; ++i) app.spawn(idle<typename A::Worker>);
    for (unsigned listening = 0; listening < worker_count;) {
        const auto event = co_await app.next_event();
        if (event->kind == WorkerState::listening) ++listening;
    }
    figures.starts.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    asio::steady_timer until_idle(app.context(), 20ms);
    co_await until_idle.async_wait(asio::use_awaitable);
    for (const auto& worker : app.workers()) figures.memory = std::max(figures.memory, private_memory(worker.pid));
    co_await app.stop();
}

template <class M>
Figures measure(Spawn spawn, unsigned rounds) {
    Figures figures;
    for (unsigned i = 0; i < rounds; ++i) {
        asio::io_context io(1);
        Options options;
        options.spawn = spawn;
        options.worker.args = {M::name}; // tells a program that is started anew which of these it is for
        Master<Nothing, M> app(io, options);
        asio::co_spawn(io, start_once(app, figures), asio::detached);
        io.run();
    }
    std::ranges::sort(figures.starts);
    return figures;
}

/// What the kernel takes of it: processes that fork(2) makes and that do nothing but listen.
double start_bare(unsigned rounds) {
    std::vector<double> starts;
    for (unsigned i = 0; i < rounds; ++i) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
        pid_t workers[worker_count];
        const auto begin = Clock::now();
        for (pid_t& worker : workers) {
            worker = ::fork();
            if (worker < 0) std::abort();
            if (worker > 0) continue;
            const bool listens = ::listen(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 128) == 0;
            if (::write(ends[1], &listens, sizeof listens) == sizeof listens) ::pause();
            ::_exit(1);
        }
        for (unsigned listening = 0; listening < worker_count; ++listening) {
            bool listens = false;
            if (::read(ends[0], &listens, sizeof listens) != sizeof listens || !listens) std::abort();
        }
        starts.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
        for (const pid_t worker : workers) {
            ::kill(worker, SIGKILL);
            ::waitpid(worker, nullptr, 0);
        }
        for (const int end : ends) ::close(end);
    }
    std::ranges::sort(starts);
    return starts[rounds / 2];
}

bool show(const std::string& name, double figure, const char* unit, double ceiling) {
    std::printf("%-44s %9.2f %-12s ceiling %.2f  %s\n", name.c_str(), figure, unit, ceiling,
                figure <= ceiling ? "ok" : "FALLS SHORT");
    return figure <= ceiling;
}

template <class M>
bool run(Spawn spawn, unsigned rounds) {
    const Figures figures = measure<M>(spawn, rounds);
    const std::string how = std::string(spawn == Spawn::fork ? "fork, " : "exec, ") + M::name;
    const double median = figures.starts[figures.starts.size() / 2];
    const bool fast = show("two workers listen, " + how, median, "ms", longest_start);
    std::printf("  the slowest of %u starts took %.2f ms\n", rounds, figures.starts.back());
    return show("private memory of a worker, " + how, figures.memory, "KiB", largest_private) && fast;
}

} // namespace

int main(int argc, char** argv) {
    if (is_worker()) {
        const bool shared = std::string_view(argv[argc - 1]) == SharedSocket::name;
        shared ? measure<SharedSocket>(Spawn::exec, 1) : measure<RoundRobin>(Spawn::exec, 1);
    }
    unsigned rounds = 50;
    if (argc == 3 && std::string_view(argv[1]) == "--rounds") rounds = static_cast<unsigned>(std::atoi(argv[2]));
    if (rounds == 0 || (argc != 1 && argc != 3)) {
        std::fprintf(stderr, "usage: start [--rounds 50]\n");
        return 2;
    }
    bool holds = true;
    std::printf("two bare processes listen, fork              %9.2f ms\n", start_bare(rounds));
    for (const Spawn spawn : {Spawn::fork, Spawn::exec}) {
        holds = run<RoundRobin>(spawn, rounds) && holds;
        holds = run<SharedSocket>(spawn, rounds) && holds;
    }
    return holds ? 0 : 1;
}

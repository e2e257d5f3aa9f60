// How connections are distributed: evenly, around a slow worker, and while workers come and go.
// Run:    distribution [even|slow|cycles|limit]...    (all by default; about a minute)
// Expect: a line for each promise; exit code 1 when one falls short.

#include <cohort.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace cohort;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned worker_count = 4;

struct Nothing {};
template <class M>
using App = Master<Nothing, M>;

// Clients: a process of its own, forked before there is a cluster

/// One connection, from connect(2) to the end of its answer.
struct Sample {
    std::int32_t slot = -1; ///< who answered; -1: nobody
    std::uint32_t microseconds = 0;
};

/// Until there were `connections`, or it is told to stop.
struct Load {
    unsigned threads = 8;
    std::uint64_t connections = 0; ///< 0: until it is told
};

Sample ask(std::uint16_t port) {
    const auto begin = Clock::now();
    Sample sample;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{10, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char answer[2];
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::recv(fd, answer, 1, 0) == 1 && ::recv(fd, answer + 1, 1, 0) == 0)
        sample.slot = answer[0] - '0';
    ::close(fd);
    const auto time = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
    sample.microseconds = static_cast<std::uint32_t>(time.count());
    return sample;
}

class Clients {
public:
    explicit Clients(Load load) {
        if (::pipe2(command_, O_CLOEXEC) != 0 || ::pipe2(result_, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        pid_ = ::fork();
        if (pid_ != 0) {
            ::close(command_[0]);
            ::close(result_[1]);
            return;
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(command_[1]);
        ::close(result_[0]);
        run(load);
        ::_exit(0);
    }
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;
    ~Clients() {
        ::close(command_[1]);
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    void start(std::uint16_t port) { write_all(command_[1], &port, sizeof port); }
    void stop() {
        const std::uint16_t nothing = 0;
        write_all(command_[1], &nothing, sizeof nothing);
    }
    /// All connections there were.
    Task<std::vector<Sample>> result(asio::io_context& io) {
        asio::posix::stream_descriptor pipe(io, result_[0]);
        std::uint64_t count = 0;
        co_await asio::async_read(pipe, asio::buffer(&count, sizeof count), asio::use_awaitable);
        std::vector<Sample> samples(count);
        co_await asio::async_read(pipe, asio::buffer(samples), asio::use_awaitable);
        co_return samples;
    }

private:
    static void write_all(int fd, const void* data, std::size_t size) {
        const char* begin = static_cast<const char*>(data);
        while (size > 0) {
            const ssize_t count = ::write(fd, begin, size);
            if (count <= 0) throw std::runtime_error("write");
            begin += count;
            size -= static_cast<std::size_t>(count);
        }
    }
    void run(Load load) {
        std::uint16_t port = 0;
        if (::read(command_[0], &port, sizeof port) != sizeof port) return;
        std::atomic<bool> stop = false;
        std::atomic<std::uint64_t> begun = 0;
        std::vector<std::vector<Sample>> samples(load.threads);
        std::vector<std::thread> threads;
        for (auto& own : samples)
            threads.emplace_back([&] {
                while (!stop && (load.connections == 0 || begun++ < load.connections)) own.push_back(ask(port));
            });
        char told = 0; // not into `port`, which the others use
        if (load.connections == 0) stop = ::read(command_[0], &told, 1) >= 0;
        for (auto& thread : threads) thread.join();
        std::vector<Sample> all;
        for (const auto& own : samples) all.insert(all.end(), own.begin(), own.end());
        const std::uint64_t count = all.size();
        write_all(result_[1], &count, sizeof count);
        write_all(result_[1], all.data(), all.size() * sizeof(Sample));
    }

    int command_[2];
    int result_[2];
    pid_t pid_ = 0;
};

// Workers

/// Says which slot this is, and ends the connection.
Task<> answer(Socket socket, unsigned slot) {
    const char text = static_cast<char>('0' + slot);
    std::error_code ignored;
    co_await asio::async_write(socket, asio::buffer(&text, 1), asio::redirect_error(asio::use_awaitable, ignored));
    socket.shutdown(asio::socket_base::shutdown_both, ignored);
}

template <class W>
Task<> quick(W& self) {
    auto listener = co_await self.listen("127.0.0.1:0");
    while (auto socket = co_await listener.accept()) co_await answer(std::move(*socket), self.slot());
}

/// One connection after the other, for 2 ms each; the worker of slot 0 takes 10 times as long, if it is told to.
template <class W>
Task<> serial(W& self) {
    const bool slow = self.slot() == 0 && !self.args().empty();
    auto listener = co_await self.listen("127.0.0.1:0");
    asio::steady_timer work(self.context());
    while (auto socket = co_await listener.accept()) {
        work.expires_after(slow ? 20ms : 2ms);
        co_await work.async_wait(asio::use_awaitable);
        co_await answer(std::move(*socket), self.slot());
    }
}

Task<> hold(Socket socket, unsigned slot) {
    asio::steady_timer busy(socket.get_executor(), 20ms);
    co_await busy.async_wait(asio::use_awaitable);
    co_await answer(std::move(socket), slot);
}

/// Many connections at a time; the worker of slot 0 has descriptors for hardly any.
template <class W>
Task<> short_of_descriptors(W& self) {
    auto listener = co_await self.listen("127.0.0.1:0");
    if (self.slot() == 0) {
        const auto lowest_free = static_cast<rlim_t>(::dup(0));
        ::close(static_cast<int>(lowest_free));
        const rlimit limit{lowest_free + 2, lowest_free + 2};
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    while (auto socket = co_await listener.accept())
        asio::co_spawn(self.context(), hold(std::move(*socket), self.slot()), asio::detached);
}

// The cluster

template <class A>
Task<std::uint16_t> until_listening(A& app, unsigned count) {
    std::uint16_t port = 0;
    while (count > 0) {
        const auto event = co_await app.next_event();
        if (event->kind != WorkerState::listening) continue;
        port = event->endpoint->port();
        --count;
    }
    co_return port;
}

/// Runs `script(app)` as the master.
template <class A, class Script>
void in_master(Options options, Script script) {
    options.restart = Restart::temporary;
    asio::io_context io(1);
    A app(io, std::move(options));
    std::exception_ptr failure;
    asio::co_spawn(io, script(app), [&](std::exception_ptr error) {
        failure = error;
        io.stop();
    });
    io.run();
    if (failure) std::rethrow_exception(failure);
}

struct Run {
    std::vector<Sample> samples;
    Stats stats;
};

template <class A>
Task<> measure(A& app, Clients& clients, unsigned workers, std::function<void(A&)> spawn, Run& run) {
    for (unsigned i = 0; i < workers; ++i) spawn(app);
    const std::uint16_t port = co_await until_listening(app, workers);
    clients.start(port);
    run.samples = co_await clients.result(app.context());
    run.stats = app.stats();
}

// The verdicts

bool line(const std::string& name, double figure, const char* unit, double ceiling) {
    const bool holds = figure <= ceiling;
    std::printf("%-56s %9.3f %-10s ceiling %.2f  %s\n", name.c_str(), figure, unit, ceiling,
                holds ? "ok" : "FALLS SHORT");
    std::fflush(stdout);
    return holds;
}

std::size_t failures(const std::vector<Sample>& samples) {
    return static_cast<std::size_t>(std::ranges::count(samples, -1, &Sample::slot));
}

double percentile_99_ms(std::vector<Sample> samples, bool without_slot_0) {
    std::erase_if(samples, [&](const Sample& each) { return each.slot < 0 || (without_slot_0 && each.slot == 0); });
    std::ranges::sort(samples, {}, &Sample::microseconds);
    return samples.empty() ? 1e9 : samples[samples.size() * 99 / 100].microseconds / 1000.0;
}

template <class M>
double spread(std::uint64_t connections) {
    Clients clients({.threads = 16, .connections = connections});
    Run run;
    in_master<App<M>>({}, [&](App<M>& app) {
        return measure<App<M>>(
            app, clients, worker_count, [](App<M>& a) { a.spawn(quick<typename App<M>::Worker>); }, run);
    });
    const auto [least, most] = std::ranges::minmax_element(run.stats.slots, {}, &SlotStats::accepted);
    if (failures(run.samples) != 0 || run.stats.total().accepted != connections) return 1e9;
    return static_cast<double>(most->accepted) / static_cast<double>(std::max<std::uint64_t>(least->accepted, 1));
}

bool even() {
    const bool holds = line("most by least of 100,000 connections, round-robin", spread<RoundRobin>(100'000), "", 1.02);
    std::printf("  least-connections %.3f, shared-socket %.3f, shared-listener %.3f\n",
                spread<LeastConnections>(20'000), spread<SharedSocket>(20'000), spread<SharedListener>(20'000));
    return holds;
}

struct Percentiles {
    double all;
    double others; ///< without the worker that may be slow
};

template <class M>
Percentiles percentiles(unsigned workers, bool one_is_slow) {
    Clients clients({.threads = 8, .connections = 6'000});
    Run run;
    in_master<App<M>>({}, [&](App<M>& app) {
        return measure<App<M>>(
            app, clients, workers,
            [one_is_slow](App<M>& a) {
                WorkerOptions surroundings;
                if (one_is_slow) surroundings.args = {"slow"};
                a.spawn(serial<typename App<M>::Worker>, surroundings);
            },
            run);
    });
    if (failures(run.samples) != 0) return {1e9, 1e9};
    return {percentile_99_ms(run.samples, false), percentile_99_ms(run.samples, one_is_slow)};
}

bool slow() {
    const auto healthy = percentiles<LeastConnections>(3, false);
    const auto fewest = percentiles<LeastConnections>(4, true);
    const auto in_turn = percentiles<RoundRobin>(4, true);
    const auto by_hash = percentiles<SharedSocket>(4, true);
    const auto one_queue = percentiles<SharedListener>(4, true);
    const bool holds =
        line("99th percentile beside a slow worker, least-connections", fewest.others / healthy.others, "times", 1.5);
    std::printf(
        "  three healthy workers %.2f ms; beside one that is 10 times slower %.2f ms, and with its own requests "
        "%.2f ms (round-robin %.2f, shared-socket %.2f, shared-listener %.2f)\n",
        healthy.others, fewest.others, fewest.all, in_turn.all, by_hash.all, one_queue.all);
    return holds;
}

/// Until so many more connections were served.
template <class A>
Task<> traffic(A& app, std::uint64_t count) {
    const std::uint64_t enough = app.stats().total().accepted + count;
    asio::steady_timer look(app.context());
    while (app.stats().total().accepted < enough) {
        look.expires_after(1ms);
        co_await look.async_wait(asio::use_awaitable);
    }
}

template <class A>
Task<> come_and_go(A& app, Clients& clients, int cycles, Run& run) {
    const auto spawn = [&app] { app.spawn(quick<typename A::Worker>); };
    for (unsigned i = 0; i < worker_count; ++i) spawn();
    const std::uint16_t port = co_await until_listening(app, worker_count);
    clients.start(port);
    for (int cycle = 0; cycle < cycles; ++cycle) {
        const auto workers = app.workers();
        for (std::size_t i = 1; i < workers.size(); ++i) app.disconnect(workers[i].id);
        for (unsigned gone = 1; gone < worker_count;) {
            const auto event = co_await app.next_event();
            if (event->kind == WorkerState::exited) ++gone;
        }
        co_await traffic(app, 200);
        for (unsigned i = 1; i < worker_count; ++i) spawn();
        co_await until_listening(app, worker_count - 1);
        co_await traffic(app, 200);
    }
    clients.stop();
    run.samples = co_await clients.result(app.context());
}

template <class M>
bool cycles() {
    constexpr int count = 100;
    Clients clients({.threads = 8});
    Run run;
    in_master<App<M>>({}, [&](App<M>& app) { return come_and_go(app, clients, count, run); });
    const bool holds = line(std::string("failures in 100 cycles of 4 -> 1 -> 4 workers, ") + M::name,
                            static_cast<double>(failures(run.samples)), "requests", 0);
    std::printf("  %zu connections answered\n", run.samples.size() - failures(run.samples));
    return holds && run.samples.size() > 1'000;
}

template <class M>
bool limit() {
    Clients clients({.threads = 32, .connections = 1'000});
    Run run;
    in_master<App<M>>({.stuck_after = 200ms}, [&](App<M>& app) {
        return measure<App<M>>(
            app, clients, 2, [](App<M>& a) { a.spawn(short_of_descriptors<typename App<M>::Worker>); }, run);
    });
    const bool holds = line(std::string("failures beside a worker without descriptors, ") + M::name,
                            static_cast<double>(failures(run.samples)), "requests", 0);
    std::printf("  %zu connections answered, %llu by that worker\n", run.samples.size() - failures(run.samples),
                static_cast<unsigned long long>(run.stats.slots[0].accepted));
    return holds;
}

} // namespace

int main(int argc, char** argv) {
    std::set<std::string> wanted(argv + 1, argv + argc);
    if (wanted.empty()) wanted = {"even", "slow", "cycles", "limit"};
    try {
        bool holds = true;
        if (wanted.contains("even")) holds = even() && holds;
        if (wanted.contains("slow")) holds = slow() && holds;
        if (wanted.contains("cycles")) {
            holds = cycles<RoundRobin>() && holds;
            holds = cycles<LeastConnections>() && holds;
            holds = cycles<SharedSocket>() && holds;
            holds = cycles<SharedListener>() && holds;
        }
        if (wanted.contains("limit")) {
            holds = limit<RoundRobin>() && holds;
            holds = limit<SharedSocket>() && holds;
            holds = limit<SharedListener>() && holds;
        }
        return holds ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "distribution: %s\n", error.what());
        return 2;
    }
}

// Who notices that workers die? http_server with 4 workers under new connections, one each request, while again and
// again a random worker is killed with SIGKILL.
// Run:    kill_workers [--seconds 30] [--interval MS] [--mode MODE] [--server PATH]
//         By default all modes, 30 s each, a kill every 200 ms.
// Expect: requests by the hundred thousand; no failure but of requests in flight on the killed worker, no descriptor
//         and no zombie left in the master; exit code 1 otherwise.

#include "http_server_process.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>

namespace {

constexpr unsigned worker_count = 4;
constexpr unsigned client_count = 16;

/// A request belongs to a kill when it had begun before it, but for the time a signal takes, and failed soon after it.
constexpr auto delivery = 2ms;
constexpr auto aftermath = 100ms;

constexpr double longest_absence = 500; // ms

struct KillArguments : Arguments {
    std::chrono::milliseconds interval{200};
};

// Clients

struct Failure {
    Outcome kind;
    Clock::time_point begin;
    Clock::time_point end;
};

struct Client {
    std::uint64_t answered = 0;
    std::vector<Failure> failures{};

    void run(std::uint16_t port, const std::atomic<bool>& stop) {
        std::string answer;
        while (!stop) {
            const auto begin = Clock::now();
            const Outcome outcome = ask(port, answer);
            if (outcome == Outcome::answered)
                ++answered;
            else
                failures.push_back({outcome, begin, Clock::now()});
        }
    }
};

/// Until somebody answers who was not there before.
std::chrono::nanoseconds await_successor(const Server& server, const std::vector<pid_t>& before, Clock::time_point kill,
                                         Clock::time_point deadline) {
    std::string answer;
    while (Clock::now() < deadline) {
        if (ask(server.port(), answer) != Outcome::answered) continue;
        if (std::ranges::find(before, pid_in(answer)) == before.end()) break;
    }
    return Clock::now() - kill;
}

struct Kills {
    std::vector<Clock::time_point> times;
    std::chrono::nanoseconds longest_absence{};
};

Kills kill_workers(const Server& server, std::chrono::seconds time, std::chrono::milliseconds interval) {
    std::mt19937 random(std::random_device{}());
    Kills kills;
    const auto begin = Clock::now();
    for (auto next = begin + interval; next < begin + time; next += interval) {
        std::this_thread::sleep_until(next);
        const auto workers = children_of(server.pid());
        if (workers.empty()) continue;
        kills.times.push_back(Clock::now());
        ::kill(workers[random() % workers.size()], SIGKILL);
        const auto absence = await_successor(server, workers, kills.times.back(), next + interval);
        kills.longest_absence = std::max(kills.longest_absence, absence);
    }
    std::this_thread::sleep_for(interval);
    return kills;
}

// The verdict

struct Tally {
    std::uint64_t answered = 0;
    std::uint64_t in_flight = 0;
    std::uint64_t most_in_flight = 0; ///< for one kill
    std::uint64_t refused = 0, reset = 0, timed_out = 0, wrong_answer = 0;

    std::uint64_t failed() const { return refused + reset + timed_out + wrong_answer; }
    bool holds() const { return failed() == 0 && most_in_flight <= client_count; }
};

/// The kill that explains a failure.
std::optional<std::size_t> explain(const Failure& failure, const std::vector<Clock::time_point>& kills) {
    if (failure.kind != Outcome::reset) return std::nullopt;
    for (std::size_t i = 0; i < kills.size(); ++i)
        if (failure.begin <= kills[i] + delivery && kills[i] <= failure.end && failure.end <= kills[i] + aftermath)
            return i;
    return std::nullopt;
}

Tally judge(const std::vector<Client>& clients, const std::vector<Clock::time_point>& kills) {
    Tally tally;
    std::vector<std::uint64_t> lost(kills.size());
    for (const Client& client : clients) {
        tally.answered += client.answered;
        for (const Failure& failure : client.failures) {
            if (const auto kill = explain(failure, kills)) {
                ++tally.in_flight;
                tally.most_in_flight = std::max(tally.most_in_flight, ++lost[*kill]);
                continue;
            }
            tally.refused += failure.kind == Outcome::refused;
            tally.reset += failure.kind == Outcome::reset;
            tally.timed_out += failure.kind == Outcome::timed_out;
            tally.wrong_answer += failure.kind == Outcome::wrong_answer;
        }
    }
    return tally;
}

void print(const std::string& mode, const Tally& tally, std::size_t kills) {
    using Number = unsigned long long;
    std::printf("%-44s %9llu %-12s ceiling 0.00  %s\n", ("requests that failed, " + mode).c_str(),
                Number{tally.failed()}, "requests", tally.holds() ? "ok" : "FALLS SHORT");
    std::printf("  of them refused %llu, reset %llu, timed out %llu, wrong answer %llu\n", Number{tally.refused},
                Number{tally.reset}, Number{tally.timed_out}, Number{tally.wrong_answer});
    std::printf("  %zu workers killed, %llu requests answered\n", kills, Number{tally.answered});
    std::printf("  beside these, in flight on the killed worker: %llu, at most %llu a kill\n", Number{tally.in_flight},
                Number{tally.most_in_flight});
}

/// Workers that die faster than that come back later and later, as they should.
bool print_absence(const std::string& mode, const Kills& kills, std::chrono::milliseconds interval) {
    const double longest = std::chrono::duration<double, std::milli>(kills.longest_absence).count();
    if (interval < 1s) return std::printf("  the longest time until a successor answered: %.1f ms\n", longest) > 0;
    std::printf("%-44s %9.2f %-12s ceiling %.2f  %s\n", ("longest time to a successor, " + mode).c_str(), longest, "ms",
                longest_absence, longest <= longest_absence ? "ok" : "FALLS SHORT");
    return longest <= longest_absence;
}

bool run(const KillArguments& arguments, const std::string& mode) {
    Server server(arguments.server, mode, worker_count);
    if (!server.all_serve()) throw std::runtime_error("not all workers serve");
    const std::size_t descriptors = server.settled_descriptors();
    const long memory = resident_kib(server.pid());

    std::vector<Client> clients(client_count);
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    for (Client& client : clients) threads.emplace_back([&] { client.run(server.port(), stop); });
    const auto kills = kill_workers(server, arguments.time, arguments.interval);
    stop = true;
    for (std::thread& thread : threads) thread.join();

    const Tally tally = judge(clients, kills.times);
    const bool serves = server.all_serve();
    const std::size_t left = server.settled_descriptors();
    const auto zombies = std::ranges::count_if(children_of(server.pid()), is_zombie);
    print(mode, tally, kills.times.size());
    const bool soon = print_absence(mode, kills, arguments.interval);
    std::printf("  master: descriptors %zu, then %zu; zombies %td; memory %ld KiB, then %ld KiB\n", descriptors, left,
                zombies, memory, resident_kib(server.pid()));
    const int code = server.end();
    std::printf("  at the end all workers serve: %s; exit code %d\n", serves ? "yes" : "no", code);
    const bool sound = tally.answered != 0 && serves && left <= descriptors && zombies == 0 && code == 0;
    if (!sound) std::printf("  FALLS SHORT\n");
    return tally.holds() && sound && soon;
}

} // namespace

int main(int argc, char** argv) {
    KillArguments arguments{{30s, {"round-robin", "least-connections", "shared-socket"}}};
    const auto own = [&](const std::string& name, const char* value) {
        if (name == "--interval") arguments.interval = std::chrono::milliseconds(std::atoi(value));
        return name == "--interval";
    };
    if (!parse(arguments, argc, argv, own) || arguments.time < 1s || arguments.interval < 1ms) {
        std::fprintf(stderr, "usage: kill_workers [--seconds 30] [--interval 200] [--mode MODE] [--server PATH]\n");
        return 2;
    }
    return run_modes("kill_workers", arguments, [&](const std::string& mode) { return run(arguments, mode); });
}

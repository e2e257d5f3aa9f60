// Who notices a reload? http_server with 2 workers under wrk with 64 keep-alive connections and a client that opens one
// for each request, while it is reloaded again and again; beside them a download of 100 MB and a request of 20 s.
// Run:    reload [--seconds 45] [--reloads 100] [--mode MODE] [--server PATH]
//         By default RoundRobin and SharedSocket. With --seconds 0 there is no load: 1,000 reloads, one after the
//         other.
// Expect: no failure, no connection that the server has closed, nothing left in the master; exit code 1 otherwise.

#include "http_server_process.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>

namespace {

constexpr unsigned worker_count = 2;
constexpr unsigned kept_alive = 64;
constexpr std::uint64_t download_size = 100'000'000;

struct ReloadArguments : Arguments {
    unsigned reloads = 100;
};

// Load

/// What wrk says at its end.
struct Load {
    std::uint64_t requests = 0;
    std::uint64_t errors = 0;
};

class Wrk {
public:
    Wrk(std::uint16_t port, std::chrono::seconds time) {
        const std::string command = "wrk -t1 -c" + std::to_string(kept_alive) + " -d" + std::to_string(time.count()) +
                                    "s http://127.0.0.1:" + std::to_string(port) + "/hello 2>&1";
        output_.reset(::popen(command.c_str(), "r"));
        if (!output_) throw std::runtime_error("wrk");
    }
    Load result() {
        Load load;
        char line[256];
        while (std::fgets(line, sizeof line, output_.get()) != nullptr) {
            unsigned long long count[4] = {};
            if (std::sscanf(line, " %llu requests in", count) == 1) load.requests = count[0];
            if (std::sscanf(line, " Socket errors: connect %llu, read %llu, write %llu, timeout %llu", count, count + 1,
                            count + 2, count + 3) == 4)
                load.errors += count[0] + count[1] + count[2] + count[3];
            if (std::sscanf(line, " Non-2xx or 3xx responses: %llu", count) == 1) load.errors += count[0];
        }
        return load;
    }

private:
    struct Close {
        void operator()(std::FILE* file) const { ::pclose(file); }
    };
    std::unique_ptr<std::FILE, Close> output_;
};

/// One connection, one request, read no faster than `pace` bytes a second; gives the number of bytes of the answer.
std::uint64_t fetch(std::uint16_t port, const std::string& path, std::uint64_t pace) {
    Socket socket;
    const timeval long_patience{40, 0};
    ::setsockopt(socket.fd, SOL_SOCKET, SO_RCVTIMEO, &long_patience, sizeof long_patience);
    if (!connect_to(socket, port)) return 0;
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    if (::send(socket.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return 0;
    std::vector<char> buffer(65536);
    std::uint64_t received = 0;
    const auto begin = Clock::now();
    for (ssize_t count = 0; (count = ::recv(socket.fd, buffer.data(), buffer.size(), 0)) > 0;) {
        received += static_cast<std::uint64_t>(count);
        std::this_thread::sleep_until(begin + std::chrono::milliseconds(received * 1000 / pace));
    }
    return received;
}

struct IncomingPeer {
    std::uint64_t answered = 0;
    std::uint64_t failed = 0;

    void run(std::uint16_t port, const std::atomic<bool>& stop) {
        std::string answer;
        while (!stop) ++(ask(port, answer) == Outcome::answered ? answered : failed);
    }
};

// Reloads

/// Until both new workers have answered; old ones may still be there, busy. False: not within 10 s.
bool reload(const Server& server, std::uint64_t* questions = nullptr) {
    const std::vector<pid_t> before = children_of(server.pid());
    ::kill(server.pid(), SIGHUP);
    std::set<pid_t> answered;
    std::string answer;
    for (const auto deadline = Clock::now() + 10s; Clock::now() < deadline && answered.size() < worker_count;) {
        const pid_t pid = ask(server.port(), answer) == Outcome::answered ? pid_in(answer) : 0;
        if (questions != nullptr) ++*questions;
        if (pid != 0 && std::ranges::find(before, pid) == before.end()) answered.insert(pid);
    }
    return answered.size() == worker_count;
}

void check(bool& holds, const std::string& name, std::uint64_t figure, const char* unit, std::uint64_t ceiling) {
    using Number = unsigned long long;
    holds = holds && figure <= ceiling;
    std::printf("%-44s %9llu %-12s ceiling %llu.00  %s\n", name.c_str(), Number{figure}, unit, Number{ceiling},
                figure <= ceiling ? "ok" : "FALLS SHORT");
}

struct Footprint {
    std::size_t descriptors;
    long memory;
};

Footprint footprint(const Server& server) { return {server.settled_descriptors(), resident_kib(server.pid())}; }

bool leaves_nothing(const Server& server, const Footprint& before) {
    const Footprint after = footprint(server);
    const auto zombies = std::ranges::count_if(children_of(server.pid()), is_zombie);
    std::printf("  master: descriptors %zu, then %zu; zombies %td; memory %ld KiB, then %ld KiB\n", before.descriptors,
                after.descriptors, zombies, before.memory, after.memory);
    return after.descriptors <= before.descriptors && zombies == 0 && after.memory <= before.memory + 1024;
}

bool under_load(const ReloadArguments& arguments, const std::string& mode) {
    Server server(arguments.server, mode, worker_count);
    if (!server.all_serve() || !reload(server)) throw std::runtime_error("not all workers serve");
    const Footprint before = footprint(server);
    const std::uint64_t opened_before = server.opened();

    std::atomic<bool> stop = false;
    IncomingPeer visitor;
    std::uint64_t downloaded = 0;
    std::uint64_t slept = 0;
    Wrk wrk(server.port(), arguments.time);
    std::vector<std::thread> threads;
    threads.emplace_back([&] { visitor.run(server.port(), stop); });
    threads.emplace_back(
        [&] { downloaded = fetch(server.port(), "/bytes/" + std::to_string(download_size), download_size / 10); });
    threads.emplace_back([&] { slept = fetch(server.port(), "/sleep/20000", download_size); });
    unsigned failed_reloads = 0;
    std::uint64_t questions = 1; // also the one at the end opens a connection
    const auto begin = Clock::now() + 200ms;
    std::chrono::nanoseconds longest{};
    for (unsigned i = 0; i < arguments.reloads; ++i) {
        std::this_thread::sleep_until(begin + i * (arguments.time - 1s) / arguments.reloads);
        const auto start = Clock::now();
        failed_reloads += reload(server, &questions) ? 0 : 1;
        longest = std::max(longest, std::chrono::nanoseconds(Clock::now() - start));
    }
    const Load load = wrk.result();
    stop = true;
    for (auto& thread : threads) thread.join();
    // wrk opens one more to see whether somebody is there; then there are the download and the long request.
    const std::uint64_t wanted = kept_alive + 1 + visitor.answered + visitor.failed + 2;
    const std::uint64_t opened = server.opened() - opened_before - questions;

    bool holds = true;
    check(holds, "requests that failed over reloads, " + mode, load.errors + visitor.failed, "requests", 0);
    check(holds, "keep-alive connections closed, " + mode, opened > wanted ? opened - wanted : 0, "connections", 0);
    check(holds, "reloads that failed, " + mode, failed_reloads, "reloads", 0);
    std::printf("  %u reloads, the longest took %.0f ms; answered: %llu requests on %u connections, %llu on one each\n",
                arguments.reloads, static_cast<double>(longest.count()) / 1e6,
                static_cast<unsigned long long>(load.requests), kept_alive,
                static_cast<unsigned long long>(visitor.answered));
    const bool whole = downloaded > download_size && slept > 0;
    std::printf("  a download of 100 MB and a request of 20 s: %s\n", whole ? "whole" : "CUT OFF");
    const bool clean = leaves_nothing(server, before);
    const int code = server.end();
    return holds && whole && clean && code == 0;
}

/// One after the other, with nobody there.
bool without_load(const ReloadArguments& arguments, const std::string& mode) {
    Server server(arguments.server, mode, worker_count);
    bool holds = server.all_serve();
    for (unsigned i = 0; i < 10; ++i) holds = reload(server) && holds; // whatever is made once is there
    const Footprint before = footprint(server);
    const auto begin = Clock::now();
    for (unsigned i = 0; i < arguments.reloads && holds; ++i) holds = reload(server);
    const auto time = Clock::now() - begin;
    while (children_of(server.pid()).size() > worker_count && Clock::now() < begin + time + 10s)
        std::this_thread::sleep_for(10ms);
    std::printf("%u reloads, %s: %.1f ms each\n", arguments.reloads, mode.c_str(),
                static_cast<double>(time / 1us) / 1000 / arguments.reloads);
    const bool clean = leaves_nothing(server, before);
    return server.all_serve() && clean && holds && server.end() == 0;
}

} // namespace

int main(int argc, char** argv) {
    ReloadArguments arguments{{45s, {"round-robin", "shared-socket"}}};
    const auto own = [&](const std::string& name, const char* value) {
        if (name == "--reloads") arguments.reloads = static_cast<unsigned>(std::atoi(value));
        return name == "--reloads";
    };
    if (!parse(arguments, argc, argv, own) || arguments.time < 0s || arguments.reloads == 0) {
        std::fprintf(stderr, "usage: reload [--seconds 45] [--reloads 100] [--mode MODE] [--server PATH]\n");
        return 2;
    }
    const bool loaded = arguments.time > 0s;
    if (!loaded && arguments.reloads == 100) arguments.reloads = 1000;
    return run_modes("reload", arguments,
                     [&](const std::string& mode) { return (loaded ? under_load : without_load)(arguments, mode); });
}

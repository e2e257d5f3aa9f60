// Do slow clients starve the others? 5,000 connections of slowhttptest, one kind of attack after the other (-H: heads
// that never end, -B: bodies that never end, -X: answers that are not read), on one worker of http_server, and beside
// them a probe every 10 ms, on a connection that stays and on new ones in turn. Run:    slow_clients [--count 5000]
// [--seconds 20] [--mode round-robin|shared-socket] [--server PATH] Expect: the probe's 99th percentile is at most 100
// ms, each is answered, and a slow connection costs at most 16 KiB of
//         the worker's memory; exit code 1 otherwise.
#include "http_server_process.hpp"

#include <optional>
#include <sstream>

namespace {

constexpr double longest_probe = 100; // ms
constexpr double largest = 16;        // KiB
constexpr std::size_t a_second = 1'000;
constexpr std::chrono::seconds culled_after{10}; // ServerOptions::head_timeout and body_timeout

struct Attack {
    const char* name;
    std::vector<std::string> options;
    bool is_culled; ///< of those who read slowly but do read, none is
};

// Answers of 100 KB fit into the memory that Linux has for TCP, 5,000 times; with 300 KB it ran out, for everybody.
const std::vector<Attack> attacks{
    {"heads", {"-H", "-i", "5", "-x", "24", "-u", "/"}, true},
    {"bodies", {"-B", "-i", "5", "-s", "1000000", "-x", "10", "-u", "/"}, true},
    {"reading", {"-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "1", "-u", "/bytes/100000"}, false},
};

/// slowhttptest as a process beside this one.
class Attacker {
public:
    Attacker(const Attack& attack, std::uint16_t port, std::size_t count, std::chrono::seconds time) {
        std::vector<std::string> words{
            "slowhttptest", "-c", std::to_string(count), "-r", std::to_string(a_second), "-p", "3", "-l"};
        words.push_back(std::to_string(time.count()));
        words.insert(words.end(), attack.options.begin(), attack.options.end());
        words.back() = "http://127.0.0.1:" + std::to_string(port) + words.back();
        pid_ = ::fork();
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int silence = ::open("/dev/null", O_RDWR);
        for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(silence, stream);
        std::vector<char*> argv;
        for (std::string& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    Attacker(const Attacker&) = delete;
    Attacker& operator=(const Attacker&) = delete;
    ~Attacker() {
        if (pid_ > 0 && ::kill(pid_, SIGKILL) == 0) ::waitpid(pid_, nullptr, 0);
    }

    bool goes_on() {
        int status = 0;
        if (pid_ <= 0 || ::waitpid(pid_, &status, WNOHANG) == 0) return pid_ > 0;
        pid_ = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127) throw std::runtime_error("slowhttptest is not installed");
        return false;
    }

private:
    pid_t pid_ = 0;
};

double milliseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

bool is_greeting(std::string_view answer) { return answer.ends_with("\r\n\r\nHello World\n"); }

/// On a connection that stays, and is opened again when the server has closed it.
class Regular {
public:
    explicit Regular(std::uint16_t port) : port_(port) {}

    bool ask() {
        static constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        if (!socket_ && !connect_to(socket_.emplace(), port_)) return false;
        char answer[4096];
        if (::send(socket_->fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return false;
        const ssize_t count = ::recv(socket_->fd, answer, sizeof answer, 0);
        return count > 0 && is_greeting({answer, static_cast<std::size_t>(count)});
    }

private:
    std::uint16_t port_;
    std::optional<Socket> socket_;
};

/// Established ones with this port at their local end: proc(5), net/tcp.
std::size_t open_connections(std::uint16_t port) {
    char ending[8];
    std::snprintf(ending, sizeof ending, ":%04X", port);
    std::size_t count = 0;
    for (const char* const path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        std::ifstream table(path);
        for (std::string line; std::getline(table, line);) {
            std::istringstream fields(line);
            std::string number, local, remote, state;
            fields >> number >> local >> remote >> state;
            if (local.ends_with(ending) && state == "01") ++count;
        }
    }
    return count;
}

bool withstands(const Attack& attack, const Arguments& arguments, const std::string& mode, std::size_t count) {
    Server server(arguments.server, mode, 1);
    if (!server.all_serve()) throw std::runtime_error("no worker answers");
    const pid_t worker = children_of(server.pid()).at(0);
    const long before = resident_kib(worker);
    long most_memory = before;
    std::size_t most_open = 0;
    std::vector<double> times;
    std::size_t failures = 0;
    Regular regular(server.port());
    Attacker attacker(attack, server.port(), count, arguments.time);
    std::string answer;
    Clock::time_point all_there = Clock::now();
    Clock::time_point all_gone = Clock::time_point::max();
    for (Clock::time_point next = Clock::now(); attacker.goes_on(); next += 10ms) {
        std::this_thread::sleep_until(next);
        const auto begin = Clock::now();
        const bool answered = times.size() % 2 == 0 ? regular.ask() : ask(server.port(), answer) == Outcome::answered;
        times.push_back(milliseconds_since(begin));
        if (!answered) ++failures;
        next = std::max(next, begin);
        if (times.size() % 50 != 0) continue;
        most_memory = std::max(most_memory, resident_kib(worker));
        const std::size_t open = open_connections(server.port());
        if (open > most_open) all_there = Clock::now();
        most_open = std::max(most_open, open);
        if (open * 100 < most_open) all_gone = std::min(all_gone, Clock::now());
    }
    all_gone = std::min(all_gone, Clock::now());                           // it ends with its last connection
    const bool culled = all_gone - all_there <= culled_after + 1s + 500ms; // as seldom is looked
    std::ranges::sort(times);
    const double percentile = times.at(times.size() * 99 / 100);
    const double each =
        static_cast<double>(most_memory - before) / static_cast<double>(std::max<std::size_t>(most_open, 1));
    const bool holds = percentile <= longest_probe && failures == 0 && each <= largest && (!attack.is_culled || culled);
    const std::string name = std::string("probe beside slow ") + attack.name + ", " + mode;
    std::printf("%-44s %9.2f %-12s ceiling %.2f  %s\n", name.c_str(), percentile, "ms, p99", longest_probe,
                holds ? "ok" : "FALLS SHORT");
    std::printf("  %zu probes, %zu not answered, the longest %.1f ms; %zu slow connections at a time, %.1f KiB each\n",
                times.size(), failures, times.back(), most_open, each);
    if (attack.is_culled)
        std::printf("  they were gone %.1f s after the last had come\n",
                    std::chrono::duration<double>(all_gone - all_there).count());
    return holds;
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments{20s, {"round-robin", "shared-socket"}};
    std::size_t count = 5'000;
    const auto own = [&count](const std::string& name, const char* value) {
        if (name == "--count") count = static_cast<std::size_t>(std::atoi(value));
        return name == "--count" && count != 0;
    };
    if (!parse(arguments, argc, argv, own)) {
        std::fprintf(stderr, "usage: slow_clients [--count N] [--seconds N] [--mode NAME] [--server PATH]\n");
        return 2;
    }
    allow_many_descriptors();
    return run_modes("slow_clients", arguments, [&](const std::string& mode) {
        bool holds = true;
        for (const Attack& attack : attacks) holds = withstands(attack, arguments, mode, count) && holds;
        return holds;
    });
}

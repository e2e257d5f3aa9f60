// How many lines of its workers does a master take? Workers write lines of 100 bytes at a steady rate; a reader at the
// end of the log counts what arrives, and what is told as lost.
// Run:    logs [--rate 100] [--seconds 10] [--workers 2] [--to FILE]
//         --rate: MB a second, of all workers together. By default the log is a pipe that this program reads. 10 GiB
//         are --seconds 107.
// Expect: all that was written was read, or told as lost, and the master has grown by less than 1 MiB; exit code 1
//         when lines were lost.

#include <cohort/master.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace cohort;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t line_size = 100;
constexpr std::size_t at_once = 40; // lines in one write, as much as stdio's buffer has

struct Arguments {
    double rate = 100; // MB a second
    double seconds = 10;
    unsigned workers = 2;
    std::string to{};

    std::uint64_t lines_of_each() const {
        return static_cast<std::uint64_t>(rate * 1e6 * seconds) / workers / line_size / at_once * at_once;
    }
};

struct Nothing {};
using App = Master<Nothing>;

Task<> write_steadily(App::Worker& self, Arguments arguments) {
    std::string text;
    for (std::size_t i = 0; i != at_once; ++i) text += "line " + std::string(line_size - 6, 'x') + '\n';
    const auto begin = Clock::now();
    const std::uint64_t writes = arguments.lines_of_each() / at_once;
    asio::steady_timer pace(self.context());
    for (std::uint64_t i = 0; i != writes; ++i) {
        const std::chrono::duration<double> due(arguments.seconds * static_cast<double>(i) /
                                                static_cast<double>(writes));
        const auto at = begin + std::chrono::duration_cast<Clock::duration>(due);
        if (at > Clock::now()) {
            pace.expires_at(at);
            co_await pace.async_wait(asio::use_awaitable);
        }
        for (std::string_view left = text; !left.empty();) {
            const ssize_t size = ::write(STDOUT_FILENO, left.data(), left.size());
            if (size < 0 && errno != EINTR) throw std::system_error(errno, std::system_category(), "write");
            left.remove_prefix(static_cast<std::size_t>(std::max(size, ssize_t{0})));
        }
    }
}

/// In KiB (proc(5), statm). What it shares with its workers is in it, since that is its own when they have ended.
double resident() {
    std::ifstream statm("/proc/self/statm");
    double all = 0, pages = 0;
    statm >> all >> pages;
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// How much more memory the master has at the end than when its workers begin, in KiB.
Task<> watch(App& app, double& grown) {
    for (unsigned online = 0; online != app.workers().size();) {
        const auto event = co_await app.next_event();
        online += event->kind == WorkerState::online;
    }
    const double before = resident();
    while (const auto event = co_await app.next_event())
        if (event->status && !event->status->success()) std::fprintf(stderr, "%s\n", event->status->describe().c_str());
    grown = resident() - before;
}

/// In a process of its own, whose standard error is the log. Code 3: the memory has grown.
int run_master(const Arguments& arguments) {
    double grown = 0;
    {
        asio::io_context io(1);
        Options options;
        options.restart = Restart::temporary;
        options.logs = LogOptions{.path = arguments.to};
        App app(io, options);
        const auto work = [arguments](App::Worker& self) { return write_steadily(self, arguments); };
        for (unsigned i = 0; i != arguments.workers; ++i) app.spawn(work);
        asio::co_spawn(io, watch(app, grown), asio::detached);
        io.run();
    }
    std::printf("%-44s %9.0f KiB          ceiling 1024  %s\n", "memory that the master has grown by", grown,
                grown <= 1024 ? "ok" : "FALLS SHORT");
    std::fflush(stdout);
    return grown <= 1024 ? 0 : 3;
}

/// What stands in the log, line by line, however it is cut.
class Counter {
public:
    void take(std::string_view bytes) {
        for (std::size_t end = 0; (end = bytes.find('\n')) != bytes.npos; bytes.remove_prefix(end + 1)) {
            rest_ += bytes.substr(0, end);
            look();
            rest_.clear();
        }
        rest_ += bytes;
    }
    std::uint64_t read = 0;
    std::uint64_t lost = 0;

private:
    void look() {
        constexpr std::string_view lost_line = " were lost: the log was written too slowly";
        constexpr std::string_view before = "cohort: ";
        if (rest_.ends_with('x')) {
            ++read;
        } else if (const auto at = rest_.find(before); at != rest_.npos && rest_.ends_with(lost_line)) {
            std::uint64_t number = 0;
            std::from_chars(rest_.data() + at + before.size(), rest_.data() + rest_.size(), number);
            lost += number;
        } else {
            std::printf("%s\n", rest_.c_str());
        }
    }

    std::string rest_;
};

void count(int file, Counter& counter) {
    std::array<char, 65'536> bytes;
    for (ssize_t size = 0; (size = ::read(file, bytes.data(), bytes.size())) > 0;)
        counter.take({bytes.data(), static_cast<std::size_t>(size)});
}

int measure(const Arguments& arguments) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return 2;
    std::fflush(stdout);
    const auto begin = Clock::now();
    const pid_t master = ::fork();
    if (master == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
        ::_exit(run_master(arguments));
    }
    ::close(ends[1]);
    Counter counter;
    count(ends[0], counter); // to its end: also what the master says beside a file
    int status = 0;
    ::waitpid(master, &status, 0);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (!arguments.to.empty()) {
        const int file = ::open(arguments.to.c_str(), O_RDONLY | O_CLOEXEC);
        count(file, counter);
        ::close(file);
    }
    const std::uint64_t written = arguments.lines_of_each() * arguments.workers;
    const double share = 100 * static_cast<double>(counter.lost) / static_cast<double>(written);
    std::printf("%.1f MB a second, %llu lines written, %llu read, %llu lost\n",
                static_cast<double>(written * line_size) / 1e6 / seconds, static_cast<unsigned long long>(written),
                static_cast<unsigned long long>(counter.read), static_cast<unsigned long long>(counter.lost));
    std::printf("%-44s %9.4f %%            ceiling 0  %s\n", "lines that were lost", share,
                counter.lost == 0 ? "ok" : "FALLS SHORT");
    if (counter.read + counter.lost != written) {
        std::printf("lines are missing that were not told as lost\n");
        return 2;
    }
    return counter.lost == 0 && status == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    bool is_right = argc % 2 == 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        if (name == "--rate")
            arguments.rate = std::atof(argv[i + 1]);
        else if (name == "--seconds")
            arguments.seconds = std::atof(argv[i + 1]);
        else if (name == "--workers")
            arguments.workers = static_cast<unsigned>(std::atoi(argv[i + 1]));
        else if (name == "--to")
            arguments.to = argv[i + 1];
        else
            is_right = false;
    }
    if (!is_right || arguments.workers == 0 || !(arguments.rate > 0) || !(arguments.seconds > 0)) {
        std::fprintf(stderr, "usage: logs [--rate 100] [--seconds 10] [--workers 2] [--to FILE]\n");
        return 2;
    }
    if (!arguments.to.empty() && ::access(arguments.to.c_str(), F_OK) == 0) {
        std::fprintf(stderr, "logs: %s is there already\n", arguments.to.c_str());
        return 2;
    }
    return measure(arguments);
}

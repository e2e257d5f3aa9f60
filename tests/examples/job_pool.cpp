// SPDX-License-Identifier: MIT
// The job pool, run as a user would: its results beside cksum's, workers that die, a terminal, wrong use.
#include "support/example.hpp"
#include "support/folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

using namespace std::chrono_literals;
using test::Example;
using test::lines_of;
using test::Output;
namespace fs = std::filesystem;

namespace {

using Args = std::vector<std::string>;

/// Files to work on, gone at the end.
class Inputs {
public:
    std::string path(const std::string& name) const { return folder_ / name; }
    /// Makes a file of so many bytes, different in each.
    std::string file(const std::string& name, std::size_t size) {
        std::mt19937 random(static_cast<unsigned>(size));
        std::string bytes(size, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        std::ofstream(path(name), std::ios::binary) << bytes;
        return path(name);
    }

private:
    test::Folder folder_;
};

/// What the standard tool prints for these files.
std::multiset<std::string> cksum(const Args& files) {
    std::string command = "cksum";
    for (const std::string& file : files) command += " '" + file + "'";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string text;
    std::array<char, 4096> buffer{};
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
        text.append(buffer.data(), count);
    REQUIRE(::pclose(pipe) == 0);
    return lines_of(text);
}

/// Takes out what the master says of workers that were killed; gives how many lines that are.
std::size_t take_ends(std::multiset<std::string>& lines) {
    return std::erase_if(lines, [](const std::string& line) {
        return line.starts_with("cohort: worker ") && line.find("killed by SIGKILL after ") != line.npos;
    });
}

Args with(Args first, const Args& more) {
    first.insert(first.end(), more.begin(), more.end());
    return first;
}

/// Polls until `found` gives something.
template <class Found>
auto job_eventually(Found found) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    auto result = found();
    while (!result && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(1ms);
        result = found();
    }
    REQUIRE(result);
    return *result;
}

struct Stat {
    int parent = 0;
    char state = 0;
};

Stat stat_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string name;
    Stat stat;
    file >> pid >> name >> stat.state >> stat.parent;
    return stat;
}

bool has_open(int pid, const std::string& path) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error))
        if (fs::read_symlink(entry.path(), error) == path) return true;
    return false;
}

/// One that was just forked has all files of its master, until it has an event loop of its own.
bool is_worker(int pid) { return has_open(pid, "anon_inode:[eventpoll]") && !has_open(pid, "anon_inode:[signalfd]"); }

/// The worker of this program that was given the file.
std::optional<int> worker_at(const Example& example, const std::string& path) {
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const int pid = std::atoi(entry.path().filename().c_str());
        if (pid > 0 && stat_of(pid).parent == example.pid() && is_worker(pid) && has_open(pid, path)) return pid;
    }
    return std::nullopt;
}

/// The program on a terminal: its standard error, and its standard output too unless that is asked for as a pipe.
class OnTerminal {
public:
    OnTerminal(Args args, bool output_too)
        : terminal_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)), program_([&] { return start(args, output_too); }) {}
    OnTerminal(const OnTerminal&) = delete;
    OnTerminal& operator=(const OnTerminal&) = delete;
    ~OnTerminal() { ::close(terminal_); }

    test::Helper& program() { return program_; }
    void type(char key) const { REQUIRE(::write(terminal_, &key, 1) == 1); }
    /// Reads on until this has been written.
    void until(const std::regex& expected) {
        while (!std::regex_search(text_, expected)) REQUIRE(read_more());
    }
    const std::string& rest() {
        while (read_more()) {
        }
        return text_;
    }

private:
    int start(Args& args, bool output_too) const {
        ::setsid();
        const int side = ::grantpt(terminal_) == 0 && ::unlockpt(terminal_) == 0
                             ? ::open(::ptsname(terminal_), O_RDWR | O_CLOEXEC) // and it controls this session
                             : -1;
        if (side < 0) return 118;
        ::dup2(side, STDIN_FILENO);
        ::dup2(side, STDERR_FILENO);
        if (output_too) ::dup2(side, STDOUT_FILENO);
        ::signal(SIGPIPE, SIG_DFL);
        std::string path = COHORT_EXAMPLE_DIR "/job_pool";
        std::vector<char*> argv{path.data()};
        for (std::string& arg : args) argv.push_back(arg.data());
        argv.push_back(nullptr);
        ::execv(path.c_str(), argv.data());
        return 119;
    }
    bool read_more() {
        REQUIRE(test::readable_within(terminal_, 30s));
        std::array<char, 4096> buffer{};
        const ssize_t count = ::read(terminal_, buffer.data(), buffer.size());
        if (count > 0) text_.append(buffer.data(), static_cast<std::size_t>(count));
        return count > 0;
    }

    int terminal_;
    test::Helper program_;
    std::string text_;
};

/// What somebody sees in the end on a terminal that was sent this.
std::string seen(const std::string& sent) {
    std::string above;
    std::string line;
    std::size_t column = 0;
    for (std::size_t i = 0; i < sent.size(); ++i) {
        const auto rest = std::string_view(sent).substr(i);
        if (rest.starts_with("\x1b[K")) {
            line.resize(std::min(line.size(), column));
            i += 2;
        } else if (rest.starts_with("\x1b[?7")) {
            i += 4;
        } else if (sent[i] == '\r') {
            column = 0;
        } else if (sent[i] == '\n') {
            above += std::exchange(line, {}) + '\n';
        } else {
            line.resize(std::max(line.size(), column + 1), ' ');
            line[column++] = sent[i];
        }
    }
    return above + line;
}

/// What it says on standard error, and how it ends.
void refuses(const Args& args, int code, const std::string& message) {
    Example example("job_pool", args, Output::error);
    CHECK(example.rest().find(message) != std::string::npos);
    CHECK(example.wait() == cohort::ExitStatus::exited(code));
}

} // namespace

TEST_CASE("job_pool: prints what cksum prints, in any order") {
    Inputs inputs;
    Args files{inputs.file("empty", 0), inputs.file("one", 1), inputs.file("large", 5'000'000),
               inputs.file("with spaces", 65'536)};
    for (unsigned i = 0; i < 100; ++i) files.push_back(inputs.file("small " + std::to_string(i), 100 + i));
    for (const char* workers : {"0", "1", "3"}) {
        CAPTURE(std::string(workers));
        Example example("job_pool", with({"--workers", workers}, files));
        CHECK(lines_of(example.rest()) == cksum(files));
        CHECK(example.wait() == cohort::ExitStatus::exited(0));
    }
}

TEST_CASE("job_pool: names what cannot be read on standard error, does the others, and ends with code 1") {
    Inputs inputs;
    const Args good{inputs.file("one", 1), inputs.file("two", 2)};
    const std::string pipe = inputs.path("pipe");
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    const Args args{good[0], inputs.path("missing"), inputs.path(""), pipe, good[1]};

    Example output("job_pool", args, Output::out);
    CHECK(lines_of(output.rest()) == cksum(good));
    CHECK(output.wait() == cohort::ExitStatus::exited(1));

    Example errors("job_pool", args, Output::error);
    CHECK(lines_of(errors.rest()) ==
          std::multiset<std::string>{"job_pool: " + inputs.path("missing") + ": No such file or directory",
                                     "job_pool: " + inputs.path("") + ": Is a directory",
                                     "job_pool: " + pipe + ": Illegal seek"});
    CHECK(errors.wait() == cohort::ExitStatus::exited(1));
}

TEST_CASE("job_pool: a worker that is killed in the middle of a file changes nothing") {
    Inputs inputs;
    const Args files{inputs.file("large", 3'000'000), inputs.file("one", 1), inputs.file("two", 2)};
    const auto expected = cksum(files);
    fs::resize_file(files[0], std::uintmax_t{1} << 38); // nobody is done with this one soon
    Example example("job_pool", with({"--workers", "2"}, files));
    const int worker = job_eventually([&] { return worker_at(example, files[0]); });
    ::kill(worker, SIGSTOP);
    job_eventually([&] { return stat_of(worker).state == 'T' ? std::optional(true) : std::nullopt; });
    fs::resize_file(files[0], 3'000'000);
    ::kill(worker, SIGKILL);
    auto lines = lines_of(example.rest());
    CHECK(take_ends(lines) == 1);
    CHECK(lines == expected);
    CHECK(example.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("job_pool: a file that its workers die of is named, and is the only one that fails") {
    Inputs inputs;
    const Args files{inputs.file("one", 1), inputs.file("two", 2)};
    Example example("job_pool", with({"--workers", "1", "/dev/zero"}, files));
    job_eventually([&] {
        if (const auto worker = worker_at(example, "/dev/zero")) ::kill(*worker, SIGKILL);
        return stat_of(example.pid()).state == 'Z' ? std::optional(true) : std::nullopt;
    });
    auto lines = lines_of(example.rest());
    CHECK(take_ends(lines) >= 1);
    CHECK(lines.erase("job_pool: /dev/zero: Connection reset by peer") == 1);
    CHECK(lines == cksum(files));
    CHECK(example.wait() == cohort::ExitStatus::exited(1));
}

TEST_CASE("job_pool: a signal ends it at once, with what was done printed, and leaves no worker") {
    Inputs inputs;
    const Args files{inputs.file("one", 1)};
    Example example("job_pool", with({"--workers", "2", "/dev/zero"}, files));
    CHECK(example.line() == *cksum(files).begin());
    const test::Watched worker(job_eventually([&] { return worker_at(example, "/dev/zero"); }));
    example.signal(SIGINT);
    CHECK(example.rest() == "job_pool: stopped after 1 of 2 files\n");
    CHECK(example.wait() == cohort::ExitStatus::exited(1));
    CHECK(worker.ends_within(5s));
}

TEST_CASE("job_pool: a bar on a terminal, between the results and gone at the end") {
    Inputs inputs;
    const Args files{inputs.file("one", 1), inputs.file("large", 5'000'000), inputs.file("empty", 0)};
    OnTerminal terminal(files, true);
    const std::string sent = terminal.rest();
    CHECK(sent.find("\r\x1b[?7l[....................] 0/3 files, ") != std::string::npos);
    CHECK(lines_of(seen(sent)) == cksum(files));
    CHECK(seen(sent).ends_with('\n'));
    CHECK(terminal.program().wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("job_pool: the bar counts files and bytes, and never comes into the results") {
    Inputs inputs;
    const Args files{inputs.file("one", 1), inputs.file("two", 2)};
    OnTerminal terminal(with({"--workers", "2", "/dev/zero"}, files), false);
    terminal.until(std::regex(R"(\[#{13}\.{7}\] 2/3 files, [0-9]+\.[0-9] MB/s)"));
    terminal.type('\x03'); // Ctrl-C
    CHECK(seen(terminal.rest()).ends_with("job_pool: stopped after 2 of 3 files\n"));
    CHECK(lines_of(terminal.program().rest()) == cksum(files));
    CHECK(terminal.program().wait() == cohort::ExitStatus::exited(1));
}

TEST_CASE("job_pool: without a terminal there is no bar") {
    Inputs inputs;
    const Args files{inputs.file("large", 5'000'000)};
    Example example("job_pool", files, Output::error);
    CHECK(example.rest().empty());
    CHECK(example.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("job_pool: answers wrong arguments with its usage and code 2") {
    const std::vector<Args> wrong{{},
                                  {"--workers", "2"},
                                  {"--workers", "two", "file"},
                                  {"--workers", "-1", "file"},
                                  {"--workers", "1025", "file"},
                                  {"--workers"},
                                  {"--verbose", "file"}};
    for (const Args& args : wrong) {
        CAPTURE(args.size());
        refuses(args, 2, "usage: job_pool [--workers");
    }
}

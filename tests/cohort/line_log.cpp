// SPDX-License-Identifier: MIT
#include <cohort/line_log.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/ends.hpp>
#include <support/folder.hpp>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

using cohort::LineLog;
using test::Ends;

namespace {

/// A line ends as it was written.
void make_raw_terminal(Ends& ends) {
    test::make_terminal(ends);
    termios settings{};
    ::tcgetattr(ends.write, &settings);
    settings.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    ::tcsetattr(ends.write, TCSANOW, &settings);
}

const std::pair<const char*, void (*)(Ends&)> line_kinds[] = {
    {"pipe", test::make_pipe}, {"socket", test::make_sockets}, {"terminal", make_raw_terminal}};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::string told(unsigned lost) {
    return "cohort: " + std::to_string(lost) + " lines were lost here: nobody took them";
}

} // namespace

TEST_CASE("lines arrive, each with its end, and the descriptor blocks others as before") {
    for (const auto& [name, make] : line_kinds) {
        CAPTURE(std::string(name));
        Ends ends;
        make(ends);
        LineLog log(ends.write);
        CHECK(log.write("one"));
        CHECK(log.write(""));
        CHECK(log.write("three"));
        CHECK(ends.drain() == "one\n\nthree\n");
        CHECK((::fcntl(ends.write, F_GETFL) & O_NONBLOCK) == 0);
    }
}

TEST_CASE("nobody reads: no line waits, and the next one that is taken says how many were lost") {
    for (const auto& [name, make] : line_kinds) {
        CAPTURE(std::string(name));
        Ends ends;
        make(ends);
        LineLog log(ends.write);
        const std::string line(1000, 'x');
        unsigned taken = 0;
        while (log.write(line)) REQUIRE(++taken < 100'000);
        for (int more = 0; more != 9; ++more) CHECK_FALSE(log.write(line));
        auto lines = lines_of(ends.drain());
        CHECK(log.write("after"));
        CHECK(log.write("that"));
        const auto rest = lines_of(ends.drain());
        lines.insert(lines.end(), rest.begin(), rest.end());
        // A terminal takes a part of a line, whose end then is that of the next line.
        REQUIRE(lines.size() >= taken + 3);
        for (unsigned i = 0; i != taken; ++i) CHECK(lines[i] == line);
        CHECK(std::vector(lines.end() - 3, lines.end()) == std::vector<std::string>{told(10), "after", "that"});
    }
}

TEST_CASE("a terminal that was stopped, by Ctrl-S") {
    Ends ends;
    make_raw_terminal(ends);
    LineLog log(ends.write);
    CHECK(log.write("before"));
    ::tcflow(ends.write, TCOOFF);
    CHECK_FALSE(log.write("stopped"));
    ::tcflow(ends.write, TCOON);
    CHECK(log.write("after"));
    CHECK(ends.drain() == "before\n" + told(1) + "\nafter\n");
}

TEST_CASE("where nobody can read any more lines are lost, without SIGPIPE") {
    for (const auto& [name, make] : line_kinds) {
        CAPTURE(std::string(name));
        Ends ends;
        make(ends);
        ends.stop_reading();
        CHECK(test::in_child([&] {
                  ::signal(SIGPIPE, SIG_DFL);
                  LineLog log(ends.write);
                  return log.write("to nobody") ? 1 : 0;
              }) == 0);
    }
}

TEST_CASE("closed, read-only and full descriptors only lose lines") {
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    const int wrong = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (const int fd : {-1, 1'000'000, full, wrong}) {
        CAPTURE(fd);
        LineLog log(fd);
        errno = 77;
        CHECK_FALSE(log.write("line"));
        CHECK(errno == 77);
    }
    ::close(full);
    ::close(wrong);
}

TEST_CASE("a file that was full goes on when there is room again, with whole lines") {
    const test::Folder folder;
    const std::string path = folder / "log";
    CHECK(test::in_child([&] {
              ::signal(SIGXFSZ, SIG_IGN);
              const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
              LineLog log(file);
              const rlimit small{25, RLIM_INFINITY};
              ::setrlimit(RLIMIT_FSIZE, &small);
              if (!log.write("0123456789") || !log.write("0123456789") || log.write("torn line") || log.write("lost"))
                  return 1;
              const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
              ::setrlimit(RLIMIT_FSIZE, &large);
              return log.write("after") && log.write("that") ? 0 : 2;
          }) == 0);
    std::ifstream file(path);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    CHECK(text == "0123456789\n0123456789\ntor\n" + told(2) + "\nafter\nthat\n");
}

TEST_CASE("what is longer than a pipe takes in one piece is cut") {
    Ends ends;
    test::make_pipe(ends);
    LineLog log(ends.write);
    CHECK(log.write(std::string(100'000, 'x')));
    CHECK(log.write("next"));
    CHECK(ends.drain() == std::string(LineLog::longest - 1, 'x') + "\nnext\n");
}

TEST_CASE("the lines of several processes and threads do not mix, and each is taken or counted") {
    Ends ends;
    test::make_pipe(ends);
    constexpr unsigned lines = 2'000;
    std::vector<pid_t> writers;
    for (char name = 'a'; name != 'e'; ++name)
        writers.push_back(test::fork_child([&] {
            LineLog log(ends.write);
            const auto write = [&] {
                for (unsigned i = 0; i != lines; ++i) log.write(std::string(10 + i % 300, name));
            };
            std::thread other(write);
            write();
            other.join();
            while (!log.write("end")) {
                pollfd with_room{ends.write, POLLOUT, 0};
                ::poll(&with_room, 1, -1);
            }
            return 0;
        }));
    ::close(std::exchange(ends.write, -1));
    std::string text;
    char buffer[65536];
    for (ssize_t count = 0; (count = ::read(ends.read, buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(count));
    for (const pid_t writer : writers) CHECK(test::wait_for(writer) == 0);
    std::map<char, unsigned> counts;
    unsigned ends_seen = 0;
    unsigned lost = 0;
    for (const std::string& line : lines_of(text)) {
        if (line == "end") {
            ++ends_seen;
        } else if (line.starts_with("cohort: ")) {
            const unsigned some = static_cast<unsigned>(std::stoul(line.substr(8)));
            CHECK(line == told(some));
            lost += some;
        } else {
            ++counts[line.front()];
            CHECK(line.find_first_not_of(line.front()) == line.npos);
        }
    }
    CHECK(ends_seen == 4);
    unsigned taken = 0;
    for (const auto& [name, count] : counts) taken += count;
    // Each of the last lines may have been tried more than once.
    CHECK(taken + lost >= 4 * 2 * lines);
}

TEST_CASE("a forked copy does not tell of what was lost before") {
    Ends ends;
    test::make_pipe(ends);
    LineLog log(ends.write);
    while (log.write(std::string(1000, 'x'))) {
    }
    ends.drain();
    CHECK(test::in_child([&] { return log.write("child") ? 0 : 1; }) == 0);
    CHECK(ends.drain() == "child\n");
    CHECK(log.write("parent"));
    CHECK(ends.drain() == told(1) + "\nparent\n");
}

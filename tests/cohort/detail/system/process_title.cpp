// SPDX-License-Identifier: MIT
#include <cohort/detail/system/process_title.hpp>

#include <cohort/detail/system/process_start.hpp>
#include <cohort/detail/system/process_status.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <grp.h>
#include <unistd.h>

using namespace cohort::detail;

namespace {

std::string content(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// What ps(1) reads, and top(1).
std::string command_line() { return content("/proc/self/cmdline"); }
std::string name() { return content("/proc/self/comm"); }

TEST_CASE("a title is cut to the room there is, and ends in it") {
    const auto written = [](std::size_t room, std::string_view title) {
        std::string area(room, 'x');
        write_title(area, title);
        return area;
    };
    CHECK(written(8, "ab") == std::string("ab\0\0\0\0\0 ", 8));
    CHECK(written(8, "abcdef") == std::string("abcdef\0 ", 8));
    CHECK(written(8, "abcdefghijkl") == std::string("abcdef\0 ", 8));
    CHECK(written(2, "abc") == std::string("\0 ", 2));
    CHECK(written(1, "abc") == "x");
    CHECK(written(0, "abc") == "");
}

TEST_CASE("ps and top show it, again and again, and the arguments of the start stay known") {
    constexpr unsigned long long resource = 1ULL << 24; // CAP_SYS_RESOURCE
    const bool may_move = (std::stoull(ProcessStatus(::getpid())["CapEff"], nullptr, 16) & resource) != 0;
    for (const bool gives_up : {false, true}) {
        const bool is_privileged = may_move && !gives_up;
        CAPTURE(is_privileged);
        const std::vector<std::string> arguments = own_arguments();
        const std::size_t room = command_line().size();
        const int code = test::in_child([&] {
            if (gives_up && ::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setresuid(65534, 65534, 65534) != 0))
                return 1;
            for (const std::string title : {"cohort: a", "cohort: something long", "cohort: b"}) {
                set_process_title(title, "worker 12 application");
                const std::string expected = is_privileged ? title : title.substr(0, room - 2);
                if (command_line() != expected + '\0') return 2;
                if (name() != "worker 12 appli\n") return 3;
            }
            return own_arguments() == arguments ? 0 : 4;
        });
        CHECK(code == 0);
    }
}

} // namespace

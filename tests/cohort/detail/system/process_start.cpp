// SPDX-License-Identifier: MIT
// What a process was started with, looked at by forked children that change it.
#include <cohort/detail/system/process_start.hpp>

#include "support/folder.hpp"
#include "support/process.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <sstream>
#include <string>

#include <fcntl.h>
#include <unistd.h>

using namespace cohort::detail;
using cohort::ExitStatus;
using test::Helper;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

} // namespace

TEST_CASE("what the program has opened is not for one that replaces it") {
    Helper helper([] {
        const int opened = ::open("/dev/null", O_RDONLY);
        const int kept = ::open("/dev/null", O_RDONLY);
        const int copied = ::fcntl(kept, F_DUPFD, 200); // beyond every number of the start
        int ends[2];
        if (::pipe(ends) != 0) return 1;
        close_opened(std::span<const int>(&kept, 1));
        const bool all_closed = !is_open(opened) && !is_open(copied) && !is_open(ends[0]) && !is_open(ends[1]);
        return all_closed && is_open(kept) && is_open(0) && is_open(1) && is_open(2) ? 0 : 2;
    });
    CHECK(helper.wait() == ExitStatus::exited(0));
}

TEST_CASE("standard streams that are closed later are opened again, each and all") {
    for (unsigned which = 1; which != 8; ++which) {
        CAPTURE(which);
        Helper helper([which] {
            for (int fd = 0; fd != 3; ++fd)
                if ((which >> fd & 1U) != 0) ::close(fd);
            open_standard_descriptors();
            for (int fd = 0; fd != 3; ++fd) {
                const bool was_closed = (which >> fd & 1U) != 0;
                const auto file = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd));
                if (was_closed && file != "/dev/null") return fd + 1;
            }
            return 0;
        });
        CHECK(helper.wait() == ExitStatus::exited(0));
    }
}

TEST_CASE("the program is known by a name that leads to it, and the folder too") {
    CHECK(std::filesystem::equivalent(own_program(), "/proc/self/exe"));
    CHECK(std::filesystem::equivalent(folder_at_start().name, "."));
}

/// Where the arguments of this process lie: proc(5), stat, field 48.
char* arguments_begin() {
    std::ifstream file("/proc/self/stat");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    std::istringstream fields(text.substr(text.rfind(')') + 1));
    std::string skipped;
    for (int field = 3; field != 48; ++field) fields >> skipped;
    std::uintptr_t begin = 0;
    fields >> begin;
    return reinterpret_cast<char*>(begin);
}

TEST_CASE("arguments that the program writes over are known as they were, and are shown as they are") {
    REQUIRE_FALSE(own_arguments().empty());
    Helper helper([before = own_arguments()] {
        if (arguments_now() != before) return 1;
        arguments_begin()[0] = '#';
        if (own_arguments() != before) return 2;
        return arguments_now().front().front() == '#' ? 0 : 3;
    });
    CHECK(helper.wait() == ExitStatus::exited(0));
}

TEST_CASE("a program that has gone elsewhere stays there") {
    const test::Folder folder;
    Helper helper([&folder] {
        if (::chdir(folder.path.c_str()) != 0) return 1;
        follow_folder();
        return std::filesystem::equivalent(folder.path, ".") ? 0 : 2;
    });
    CHECK(helper.wait() == ExitStatus::exited(0));
}

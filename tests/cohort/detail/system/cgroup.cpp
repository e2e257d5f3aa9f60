// SPDX-License-Identifier: MIT
#include <cohort/detail/system/cgroup.hpp>

#include <doctest/doctest.h>

using namespace cohort::detail;

TEST_CASE("the group of a process is found in what the kernel says of it") {
    const char* const hybrid = "12:memory:/a\n4:cpu,cpuacct:/b:c\n1:name=systemd:/d\n0::/e/f\n";
    CHECK(cgroup_path(hybrid) == "/e/f");
    CHECK(cgroup_path(hybrid, "cpu") == "/b:c");
    CHECK(cgroup_path(hybrid, "cpuacct") == "/b:c");
    CHECK(cgroup_path(hybrid, "pids") == "");
    CHECK(cgroup_path("0::/\n") == "/");
    CHECK(cgroup_path("0::/no/newline") == "/no/newline");
    for (const char* text : {"", "\n", "nonsense", "0:", "1:cpu:/x\n"}) CHECK(cgroup_path(text) == "");
}

TEST_CASE("a word of a list is a whole one") {
    CHECK(has_word("cpu memory pids\n", "memory", " \n"));
    CHECK(has_word("cpu memory pids\n", "pids", " \n"));
    CHECK(has_word("cpu", "cpu", ","));
    for (const char* list : {"", "cpuset", "cpuset memory", "memory cpuset\n"})
        CHECK_FALSE(has_word(list, "cpu", " \n"));
}

// SPDX-License-Identifier: MIT
// Quotas are read from trees that the test makes.
#include <cohort/detail/system/cpu_quota.hpp>

#include <cohort/detail/system/process_setup.hpp>

#include <doctest/doctest.h>

#include <support/cgroup_tree.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

using namespace cohort::detail;
using test::CgroupTree;

namespace {

TEST_CASE("a quota is a share of a period") {
    CHECK(cpus_of("150000 100000\n") == 1.5);
    CHECK(cpus_of("50000 100000") == 0.5);
    CHECK(cpus_of("1 3") == doctest::Approx(1.0 / 3));
    for (const char* text : {"", "max 100000\n", "max", "-1 100000", "0 100000", "100000", "100000 0", "x y"})
        CHECK_FALSE(cpus_of(text));
}

TEST_CASE("the least quota from the own group up to the root counts") {
    const std::string own = "0::/system.slice/app.service\n";
    const std::string version_1 = "4:cpu,cpuacct:/docker/1\n0::/\n";
    struct Row {
        std::string membership;
        std::map<std::string, std::string> files;
        std::optional<double> quota;
    };
    const Row rows[] = {
        {own, {}, {}},
        {"", {{"cpu.max", "100000 100000"}}, 1.0}, // no line for version 2: the root of what is mounted
        {own, {{"system.slice/app.service/cpu.max", "max 100000"}}, {}},
        {own, {{"system.slice/app.service/cpu.max", "250000 100000"}}, 2.5},
        {own, {{"system.slice/cpu.max", "100000 100000"}, {"system.slice/app.service/cpu.max", "max 100000"}}, 1.0},
        {own, {{"system.slice/cpu.max", "300000 100000"}, {"system.slice/app.service/cpu.max", "200000 100000"}}, 2.0},
        {own, {{"cpu.max", "50000 100000"}, {"system.slice/app.service/cpu.max", "200000 100000"}}, 0.5},
        {own, {{"system.slice/other.service/cpu.max", "50000 100000"}}, {}},
        {own, {{"unified/system.slice/app.service/cpu.max", "50000 100000"}}, 0.5},
        {"0::/docker/1\n", {{"cpu.max", "150000 100000"}}, 1.5}, // a container, whose root is its own group
        {"0::/../other\n", {{"cpu.max", "150000 100000"}}, 1.5},
        {version_1,
         {{"cpu,cpuacct/docker/1/cpu.cfs_quota_us", "-1\n"}, {"cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n"}},
         {}},
        {version_1,
         {{"cpu,cpuacct/docker/1/cpu.cfs_quota_us", "75000\n"}, {"cpu,cpuacct/docker/1/cpu.cfs_period_us", "50000\n"}},
         1.5},
        {version_1, {{"cpu/cpu.cfs_quota_us", "200000\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}}, 2.0},
        {version_1, {{"cpu/cpu.cfs_quota_us", "200000\n"}}, {}},
    };
    for (const Row& row : rows) {
        const CgroupTree tree(row.membership, row.files);
        CAPTURE(row.membership);
        CAPTURE((row.files.empty() ? "" : row.files.begin()->first));
        CHECK(cpu_quota(tree.place) == row.quota);
    }
}

TEST_CASE("there is room for as many processes as CPUs, or as the quota is worth, rounded up, and for one") {
    const auto cpus = static_cast<unsigned>(usable_cpus().size());
    const auto filled = [](const std::string& quota) {
        return cpus_to_fill(CgroupTree("0::/\n", {{"cpu.max", quota}}).place);
    };
    CHECK(filled("max 100000") == cpus);
    CHECK(filled("1 100000") == 1);
    CHECK(filled("100000 100000") == 1);
    CHECK(filled("110000 100000") == std::min(2U, cpus));
    CHECK(filled("99999999999 100000") == cpus);
    CHECK(cpus_to_fill({"/nonexistent", "/nonexistent"}) == cpus);
}

} // namespace

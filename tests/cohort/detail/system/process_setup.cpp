// SPDX-License-Identifier: MIT
#include <cohort/detail/system/process_setup.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/folder.hpp>

#include <algorithm>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace cohort::detail;
using cohort::Pinning;

namespace {

/// Where the prepared process may run, as a child that is prepared in this way finds it; empty: it could not be.
std::vector<unsigned> cpus_with(const cohort::WorkerOptions& options, unsigned slot) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const int code = test::in_child([&] {
        if (prepare_process(options, slot)) return 1;
        for (const unsigned cpu : usable_cpus())
            if (::write(ends[1], &cpu, sizeof cpu) != sizeof cpu) return 2;
        return 0;
    });
    ::close(ends[1]);
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; code == 0 && ::read(ends[0], &cpu, sizeof cpu) == sizeof cpu;) cpus.push_back(cpu);
    ::close(ends[0]);
    return cpus;
}

/// The step that was refused, and why.
std::pair<std::string, int> refusal_of(const cohort::WorkerOptions& options) {
    const auto error = prepare_process(options);
    return error ? std::pair<std::string, int>(error->step, error->system_error) : std::pair<std::string, int>();
}

} // namespace

TEST_CASE("a child gets directory, environment and a process group of its own") {
    const int code = test::in_child([] {
        cohort::WorkerOptions options;
        options.cwd = "/";
        options.env = {{"COHORT_TEST_A", "1"}, {"PATH", "replaced"}};
        if (prepare_process(options)) return 1;
        if (std::filesystem::current_path() != "/") return 2;
        if (std::string(std::getenv("COHORT_TEST_A")) != "1" || std::string(std::getenv("PATH")) != "replaced")
            return 3;
        return ::getpgrp() == ::getpid() ? 0 : 4;
    });
    CHECK(code == 0);
    CHECK(std::getenv("COHORT_TEST_A") == nullptr);
}

TEST_CASE("a set-up that is not permitted or not possible says which step it was") {
    const int code = test::in_child([] {
        cohort::WorkerOptions options;
        options.cwd = "/no/such/folder";
        const auto directory = prepare_process(options);
        if (!directory || directory->system_error != ENOENT || std::string(directory->step) != "chdir") return 1;

        if (::geteuid() == 0 && ::setresuid(12345, 12345, 12345) != 0) return 2;
        options = {};
        options.uid = 0;
        const auto user = prepare_process(options);
        return user && user->system_error == EPERM ? 0 : 3;
    });
    CHECK(code == 0);
}

TEST_CASE("user and group are taken on for good, without supplementary groups") {
    if (::geteuid() != 0) {
        MESSAGE("skipped: only root may become somebody else");
        return;
    }
    const int code = test::in_child([] {
        cohort::WorkerOptions options;
        options.uid = 12345;
        options.gid = 12346;
        if (prepare_process(options)) return 1;
        if (::getuid() != 12345 || ::geteuid() != 12345 || ::getgid() != 12346 || ::getegid() != 12346) return 2;
        if (::getgroups(0, nullptr) != 0) return 3;
        return ::setuid(0) != 0 && ::setgid(0) != 0 ? 0 : 4;
    });
    CHECK(code == 0);
}

TEST_CASE("a child runs on the CPUs it is given, or on the one of its slot") {
    const auto all = usable_cpus();
    REQUIRE_FALSE(all.empty());
    CHECK(cpus_with({}, 0) == all);
    cohort::WorkerOptions options;
    options.pinning = Pinning::by_slot;
    for (unsigned slot = 0; slot < 2 * all.size(); ++slot)
        CHECK(cpus_with(options, slot) == std::vector{all[slot % all.size()]});
    options.cpus = {all.back()};
    CHECK(cpus_with(options, 5) == options.cpus);
    options.pinning = Pinning::none;
    CHECK(cpus_with(options, 5) == options.cpus);
    CHECK(usable_cpus() == all); // the parent's are as they were
}

TEST_CASE("a child has the priority, limits and file mode mask it is given, and gains no privileges") {
    const int code = test::in_child([] {
        cohort::WorkerOptions options;
        options.nice = 7;
        options.limits = {{RLIMIT_NOFILE, {100, 200}}, {RLIMIT_CORE, {0, 0}}};
        options.umask = 0027;
        options.no_new_privileges = true;
        if (prepare_process(options)) return 1;
        if (::getpriority(PRIO_PROCESS, 0) != 7) return 2;
        rlimit limit{};
        if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur != 100 || limit.rlim_max != 200) return 3;
        if (::getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != 0) return 4;
        if (::umask(0) != 0027) return 5;
        return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 6;
    });
    CHECK(code == 0);
}

TEST_CASE("an unlimited limit is the system's word for it") {
    static_assert(static_cast<rlim_t>(cohort::ResourceLimit::unlimited) == RLIM_INFINITY);
    const int code = test::in_child([] {
        rlimit before{};
        ::getrlimit(RLIMIT_CPU, &before);
        cohort::WorkerOptions options;
        options.limits[RLIMIT_CPU] = {};
        if (before.rlim_max == RLIM_INFINITY) return prepare_process(options) ? 1 : 0;
        return 0;
    });
    CHECK(code == 0);
}

TEST_CASE("shares of the machine that there are not say which they were") {
    cohort::WorkerOptions no_such_cpu;
    no_such_cpu.cpus = {1'000'000};
    cohort::WorkerOptions offline_cpu;
    offline_cpu.cpus = {CPU_SETSIZE - 1};
    cohort::WorkerOptions no_such_limit;
    no_such_limit.limits[12345] = {1, 1};
    cohort::WorkerOptions contradiction;
    contradiction.limits[RLIMIT_NOFILE] = {2, 1};
    const int code = test::in_child([&] {
        using Refusal = std::pair<std::string, int>;
        if (refusal_of(no_such_cpu) != Refusal("sched_setaffinity", EINVAL)) return 1;
        if (refusal_of(offline_cpu) != Refusal("sched_setaffinity", EINVAL)) return 2;
        if (refusal_of(no_such_limit) != Refusal("setrlimit", EINVAL)) return 3;
        if (refusal_of(contradiction) != Refusal("setrlimit", EINVAL)) return 4;
        if (::geteuid() == 0 && ::setresuid(12345, 12345, 12345) != 0) return 5;
        cohort::WorkerOptions more_important;
        more_important.nice = -10;
        return refusal_of(more_important) == Refusal("setpriority", EACCES) ? 0 : 6;
    });
    CHECK(code == 0);
}

TEST_CASE("a name is kept when it, or a beginning of it with a star, is listed") {
    struct Row {
        std::vector<std::string> kept;
        const char* name;
        bool is_kept;
    };
    const Row rows[] = {
        {{}, "PATH", false},        {{"PATH"}, "PATH", true},   {{"PATH"}, "PATH_INFO", false},
        {{"PAT"}, "PATH", false},   {{"LC_*"}, "LC_ALL", true}, {{"LC_*"}, "LC_", true},
        {{"LC_*"}, "LANG", false},  {{"*"}, "ANYTHING", true},  {{"A*B"}, "AxB", false},
        {{"X", "LC_*"}, "X", true}, {{""}, "PATH", false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        CHECK(is_kept(row.name, row.kept) == row.is_kept);
    }
}

TEST_CASE("a child keeps of the environment what it is to keep, and gets what is added") {
    const int code = test::in_child([] {
        ::setenv("COHORT_TEST_KEPT", "1", 1);
        ::setenv("COHORT_TEST_LC_A", "2", 1);
        ::setenv("COHORT_TEST_SECRET", "3", 1);
        cohort::WorkerOptions options;
        options.keep_env = {"COHORT_TEST_KEPT", "COHORT_TEST_LC_*"};
        options.env = {{"COHORT_TEST_ADDED", "4"}};
        if (prepare_process(options)) return 1;
        std::vector<std::string> left;
        for (char** one = environ; *one != nullptr; ++one) left.emplace_back(*one);
        std::ranges::sort(left);
        const std::vector<std::string> wanted{"COHORT_TEST_ADDED=4", "COHORT_TEST_KEPT=1", "COHORT_TEST_LC_A=2"};
        return left == wanted ? 0 : 2;
    });
    CHECK(code == 0);
    const int none = test::in_child([] {
        cohort::WorkerOptions options;
        options.keep_env.emplace();
        return !prepare_process(options) && (environ == nullptr || *environ == nullptr) ? 0 : 1;
    });
    CHECK(none == 0);
}

TEST_CASE("a child has another root, stands in it, and can be another user there") {
    if (::geteuid() != 0) {
        MESSAGE("skipped: only root may change the root");
        return;
    }
    const test::Folder folder;
    std::filesystem::permissions(folder.path, std::filesystem::perms(0755));
    std::filesystem::create_directory(folder / "inside");
    for (const std::string cwd : {"", "inside", "/inside"}) {
        CAPTURE(cwd);
        const int code = test::in_child([&] {
            cohort::WorkerOptions options;
            options.root = folder.path.native();
            options.cwd = cwd;
            options.uid = options.gid = 65534;
            if (prepare_process(options)) return 1;
            if (std::filesystem::exists("/proc") || !std::filesystem::exists("/inside")) return 2;
            if (::chroot(".") == 0 || ::getuid() != 65534) return 3;
            return std::filesystem::current_path() == (cwd.empty() ? "/" : "/inside") ? 0 : 4;
        });
        CHECK(code == 0);
    }
}

TEST_CASE("a root that is none, or may not be had, is refused") {
    cohort::WorkerOptions options;
    options.root = "/nonexistent";
    const int missing =
        test::in_child([&] { return refusal_of(options) == std::pair<std::string, int>("chroot", ENOENT) ? 0 : 1; });
    CHECK(missing == 0);
    options.root = "/";
    const int refused = test::in_child([&] {
        if (::geteuid() == 0 && ::setresuid(12345, 12345, 12345) != 0) return 2;
        return refusal_of(options) == std::pair<std::string, int>("chroot", EPERM) ? 0 : 1;
    });
    CHECK(refused == 0);
}

// SPDX-License-Identifier: MIT
// Groups are made where this machine has delegated any; what is refused is shown with trees that the test makes.
#include <cohort/detail/system/slot_cgroup.hpp>

#include <doctest/doctest.h>

#include <support/cgroup_tree.hpp>
#include <support/child.hpp>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <system_error>

#include <unistd.h>

using namespace cohort::detail;
using cohort::CgroupLimits;
using test::CgroupTree;

namespace {

std::string refusal(const CgroupLimits& limits, const CgroupPlace& place) {
    try {
        make_slot_cgroup(0, limits, place);
        return "";
    } catch (const std::system_error& error) {
        return error.what();
    }
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("where no group was delegated, the error says what is missing") {
    const CgroupLimits memory{.memory = 1 << 26, .cpus = {}, .cpu_weight = {}, .processes = {}};
    const int code = test::in_child([&memory] { // it looks once
        if (!contains(refusal(memory, {"/nonexistent", "/nonexistent"}), "there is no cgroup of version 2")) return 1;
        if (!contains(refusal(memory, CgroupTree("0::/\n", {}).place), "it has no cgroup.controllers")) return 2;
        const CgroupTree tree("0::/app\n", {{"cgroup.controllers", ""}, {"app/cgroup.controllers", "cpu pids\n"}});
        const std::string none = refusal(memory, tree.place);
        if (!contains(none, "cgroup: " + tree.place.mount + "/app (no memory controller was delegated)")) return 3;
        return std::filesystem::is_empty(tree.folder / "mount/app") ? 4 : 0;
    });
    CHECK(code == 0);
    const int refused = test::in_child([] {
        const CgroupTree tree("0::/app\n", {{"cgroup.controllers", ""},
                                            {"app/cgroup.controllers", "pids\n"},
                                            {"app/cgroup.subtree_control", "pids\n"}});
        const std::string why = refusal({.memory = {}, .cpus = {}, .cpu_weight = {}, .processes = 5}, tree.place);
        return contains(why, "/pids.max (5): No such file or directory") ? 0 : 1;
    });
    CHECK(refused == 0);
}

TEST_CASE("controllers are passed on after this process has left, with what it has started and without others") {
    const int code = test::in_child([] {
        const std::string own = "app/cohort-" + std::to_string(::getpid()), self = std::to_string(::getpid());
        const pid_t child = test::fork_child([] { return ::pause(); });
        const CgroupTree tree("0::/app\n", {{"cgroup.controllers", ""},
                                            {"app/cgroup.controllers", "pids\n"},
                                            {"app/cgroup.subtree_control", ""},
                                            {"app/cgroup.procs", self + "\n" + std::to_string(child) + "\n9999999\n"},
                                            {own + "-master/cgroup.procs", ""},
                                            {own + "-slot-0/pids.max", ""}});
        const std::string why = refusal({.memory = {}, .cpus = {}, .cpu_weight = {}, .processes = 5}, tree.place);
        ::kill(child, SIGKILL);
        test::wait_for(child);
        const std::string mount = tree.place.mount + "/";
        if (!why.empty() || text_of(mount + own + "-slot-0/pids.max") != "5") return 1;
        if (text_of(mount + "app/cgroup.subtree_control") != "+pids") return 2;
        // A plain file has what was written there last.
        return text_of(mount + own + "-master/cgroup.procs").starts_with(std::to_string(child)) ? 0 : 3;
    });
    CHECK(code == 0);
}

/// Whether this process may make groups here, without controllers.
bool is_delegated() {
    const int code = test::in_child([] {
        try {
            make_slot_cgroup(0, {});
            remove_slot_cgroup(0);
            return 0;
        } catch (const std::system_error&) {
            return 1;
        }
    });
    return code == 0;
}

TEST_CASE("a process is in the group of its slot, which goes when it has gone") {
    if (!is_delegated()) {
        MESSAGE("skipped: this process may make no cgroup");
        return;
    }
    const int code = test::in_child([] {
        const std::string folder = make_slot_cgroup(3, {});
        const std::string name = "/cohort-" + std::to_string(::getpid()) + "-slot-3";
        if (!folder.ends_with(name) || make_slot_cgroup(3, {}) != folder) return 1;
        int ends[2];
        if (::pipe(ends) != 0) return 2;
        const pid_t child = test::fork_child([&] {
            if (enter_cgroup(folder)) return 1;
            if (!cgroup_path(text_of("/proc/self/cgroup")).ends_with(name)) return 2;
            char byte = 0;
            ::close(ends[1]);
            return ::read(ends[0], &byte, 1) == 0 ? 0 : 3;
        });
        while (text_of(folder + "/cgroup.procs").empty()) {
        }
        remove_slot_cgroup(3);
        if (!std::filesystem::exists(folder)) return 3;
        ::close(ends[1]);
        if (test::wait_for(child) != 0) return 4;
        remove_slot_cgroup(3);
        return std::filesystem::exists(folder) ? 5 : 0;
    });
    CHECK(code == 0);
    CHECK(enter_cgroup("/nonexistent")->system_error == ENOENT);
}

} // namespace

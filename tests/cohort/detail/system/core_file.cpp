// SPDX-License-Identifier: MIT
#include <cohort/detail/system/core_file.hpp>

#include <doctest/doctest.h>

using cohort::detail::core_file;

TEST_CASE("the place of a core file is what the pattern says, with * for what is not known any more") {
    struct Row {
        const char* pattern;
        bool with_pid;
        const char* place;
    };
    const Row rows[] = {
        {"core", false, "/srv/core"},
        {"core", true, "/srv/core.42"},
        {"core.%p", true, "/srv/core.42"},
        {"/var/cores/%e.%p.%s", false, "/var/cores/*.42.11"},
        {"/var/%%cores/%t%", true, "/var/%cores/*.42"},
        {"cores/%h", false, "/srv/cores/*"},
        {"|/usr/lib/systemd/systemd-coredump %P %u", true, "| /usr/lib/systemd/systemd-coredump"},
        {"|/usr/bin/apport", true, "| /usr/bin/apport"},
        {"@/run/core.socket", true, "@/run/core.socket"},
        {"", true, "/srv/.42"},
        {"", false, ""},
    };
    for (const Row& row : rows) {
        CAPTURE(row.pattern);
        CHECK(core_file(row.pattern, row.with_pid, 42, 11, {"", "/srv"}) == row.place);
    }
    CHECK(core_file("core", false, 42, 11, {"/jail", ""}) == "/jail/core");
    CHECK(core_file("core", false, 42, 11, {"/jail", "/srv"}) == "/jail/srv/core");
    CHECK(core_file("/var/core", false, 42, 11, {"/jail", "/srv"}) == "/jail/var/core");
}

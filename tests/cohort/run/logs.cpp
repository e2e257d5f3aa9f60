// SPDX-License-Identifier: MIT
// run() with Options::logs: signals, and the end.
#include <cohort/run.hpp>

#include "support/logs.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>

#include <sys/prctl.h>

using namespace test;

namespace {

Task<> write_until_told(App::Worker& self) {
    write_line("begun");
    co_await self.until_stopping();
    write_line("ended");
}

Options run_options(const Log& log) {
    Options options = log.options();
    options.workers = 1;
    return options;
}

bool has(const std::vector<std::string>& lines, const std::string& line) {
    return std::ranges::find(lines, line) != lines.end();
}

} // namespace

TEST_CASE("SIGUSR1 has the log opened anew, and what is written at the end is in it") {
    const Log log;
    Helper helper([&log] {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1); // it reaps whom it does not know, but not the log's writer
        return run<App>(run_options(log), write_until_told);
    });
    CHECK(eventually([&log] { return has(log.lines(), "worker 1 slot 0 stdout: begun"); }));
    std::filesystem::rename(log.path(), log.path() + ".1");
    helper.signal(SIGUSR1);
    CHECK(eventually([&log] { return std::filesystem::exists(log.path()); }));
    helper.signal(SIGTERM);
    CHECK(helper.wait().code() == 0);
    CHECK(has(log.lines(), "worker 1 slot 0 stdout: ended"));
}

TEST_CASE("when the master is killed what it had read is written, and the writer ends") {
    const Log log;
    Helper helper([&log] { return run<App>(run_options(log), write_until_told); });
    CHECK(eventually([&log] { return has(log.lines(), "worker 1 slot 0 stdout: begun"); }));
    const auto children = children_of(helper.pid());
    CHECK(children.size() == 2);
    std::vector<Watched> ends;
    for (const pid_t child : children) ends.emplace_back(child);
    helper.signal(SIGKILL);
    for (const Watched& end : ends) CHECK(end.ends_within(limit));
}

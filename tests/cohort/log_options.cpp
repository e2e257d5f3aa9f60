// SPDX-License-Identifier: MIT
#include <cohort/log_options.hpp>

#include <cohort/run.hpp>

#include "support/logs.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <csignal>
#include <string>
#include <string_view>

#include <unistd.h>

using namespace test;

namespace {

/// The worker of slot 0 serves, those of slot 1 fail.
Task<> serve_or_fail(App::Worker& self) {
    if (self.slot() == 1) ::_exit(3);
    write_line("begun");
    co_await self.until_stopping();
}

Task<> fail_at_once(App::Worker&) {
    ::_exit(3);
    co_return;
}

std::ptrdiff_t lines_with(const Log& log, std::string_view text) {
    return std::ranges::count_if(log.lines(), [text](const auto& line) { return line.find(text) != line.npos; });
}

struct Level {
    LogLevel level;
    std::string_view name;
    bool says_failure;
    bool says_reload;
};

const Level levels[] = {
    {LogLevel::error, "error", false, false},
    {LogLevel::warning, "warning", true, false},
    {LogLevel::info, "info", true, true},
};

} // namespace

TEST_CASE("lines of the level that is wanted are said, and more urgent ones") {
    for (const auto& [level, name, says_failure, says_reload] : levels) {
        CAPTURE(name);
        const Log log;
        Options options = log.options(permanent_options());
        options.workers = 2;
        options.log_level = level;
        options.backoff = {.at_once = 1, .first = 1ms, .longest = 1ms, .failed_starts = 2};
        CHECK(describe(options).find("log_level: \"" + std::string(name) + "\"\n") != std::string::npos);
        Helper helper([&options] { return run<App>(options, serve_or_fail); });
        CHECK(eventually([&log] { return lines_with(log, "; the slot is given up") == 1; }));
        CHECK(eventually([&log] { return lines_with(log, "stdout: begun") == 1; }));
        helper.signal(SIGHUP);
        CHECK(eventually([&log] { return lines_with(log, "stdout: begun") == 2; }));
        CHECK(eventually([&helper] { return children_of(helper.pid()).size() == 2; })); // with the log's writer
        if (says_reload) CHECK(eventually([&log] { return lines_with(log, "cohort: reload: ") == 1; }));
        helper.signal(SIGTERM);
        helper.wait();
        CHECK(lines_with(log, "; the next one starts in ") == (says_failure ? 1 : 0));
        CHECK(lines_with(log, " replaced in ") == (says_reload ? 1 : 0));
    }
}

TEST_CASE("the level may change while the cluster runs") {
    const Log log;
    in_master<App>(log.options(), [&log](App& app) -> Task<> {
        app.spawn(fail_at_once);
        co_await end_of(app, 1);
        app.set({.log_level = LogLevel::error});
        app.spawn(fail_at_once);
        co_await end_of(app, 2);
        app.set({.log_level = LogLevel::warning});
        app.spawn(fail_at_once);
        co_await end_of(app, 3);
        CHECK_THROWS_WITH_AS(app.set({.log_level = static_cast<LogLevel>(3)}), doctest::Contains("log_level"),
                             std::system_error);
        CHECK(app.options().log_level == LogLevel::warning);
        CHECK(co_await until(app.context(), [&log] { return lines_with(log, "cohort: worker 3 in slot ") == 1; }));
        CHECK(lines_with(log, "cohort: worker 1 in slot ") == 1);
        CHECK(lines_with(log, "cohort: worker 2 in slot ") == 0);
    });
}

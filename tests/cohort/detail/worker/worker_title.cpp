// SPDX-License-Identifier: MIT
// Titles: how they are made, and that they are seen of the processes of a cluster.
#include <cohort/detail/worker/worker_title.hpp>

#include <cohort/run.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

#include <unistd.h>

using namespace test;
using namespace cohort::detail;

namespace {

std::string command_line(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/cmdline");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    return text.substr(0, text.find('\0'));
}

TEST_CASE("a title says which worker it is, of which generation, and whether it is leaving") {
    Identity worker;
    worker.id = 3;
    CHECK(title_of("shop", worker, false) == "cohort: worker 3 shop");
    CHECK(title_of("shop", worker, true) == "cohort: worker 3 shop, leaving");
    worker.generation = 2;
    CHECK(title_of("shop", worker, false) == "cohort: worker 3 shop, generation 2");
    CHECK(title_of("shop", worker, true) == "cohort: worker 3 shop, generation 2, leaving");
    CHECK(title_of_master("shop", false) == "cohort: master shop");
    CHECK(title_of_master("shop", true) == "cohort: master shop, leaving");
}

void print(const std::string& line) {
    const std::string text = line + "\n";
    [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

Task<> say_when_leaving(App::Worker& self) {
    print("pid " + std::to_string(self.pid()));
    self.ready(); // its predecessor says something from now on
    co_await self.until_stopping();
    print("leaving " + command_line(::getpid()));
}

/// As far as there is room for it.
bool is_shown(const std::string& shown, const std::string& title) { return !shown.empty() && title.starts_with(shown); }

TEST_CASE("the processes of a cluster have their titles when there is one, and their own names when there is none") {
    for (const std::string title : {"shop", ""}) {
        CAPTURE(title);
        const std::string own = command_line(::getpid());
        Helper helper([&title] {
            Options options = permanent_options();
            options.workers = 1;
            options.title = title;
            options.readiness = Readiness::announced;
            return run<App>(options, say_when_leaving);
        });
        const pid_t first = helper.number_after("pid ");
        const auto check = [&](const std::string& shown, const std::string& wanted) {
            CAPTURE(shown);
            CHECK((title.empty() ? shown == own : is_shown(shown, wanted)));
        };
        check(command_line(helper.pid()), "cohort: master shop");
        check(command_line(first), "cohort: worker 1 shop");
        helper.signal(SIGHUP);
        const pid_t second = helper.number_after("pid ");
        check(command_line(second), "cohort: worker 2 shop, generation 1");
        check(helper.after("leaving "), "cohort: worker 1 shop, leaving");
        helper.signal(SIGTERM);
        check(helper.after("leaving "), "cohort: worker 2 shop, generation 1, leaving");
        CHECK(helper.wait() == ExitStatus::exited(0));
    }
}

} // namespace

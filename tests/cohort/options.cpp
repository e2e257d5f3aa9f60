// SPDX-License-Identifier: MIT
#include <cohort/options.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using cohort::Options;

namespace {

unsigned workers_of(const Options& options) { return options.workers; }

} // namespace

TEST_CASE("any choice of options can be named, in their order, and the others keep their defaults") {
    const Options all{
        .workers = 2,
        .listen = {8080, "127.0.0.1:0", "unix:/run/app.sock"},
        .spawn = cohort::Spawn::exec,
        .restart = cohort::Restart::transient,
        .strategy = cohort::Strategy::one_for_all,
        .liveness = {.timeout = 10s},
        .recycle = {.requests = 1'000, .memory = 1U << 30},
        .probe = {.interval = 1s},
        .grace = 5s,
        .backlog = 16,
        .credit = 1,
        .max_message = 1024,
        .autoscale = cohort::Autoscale{.least = 2, .most = 4},
        .reap_strangers = false,
        .hooks = {.before_fork = [](unsigned) {}},
        .logs = cohort::LogOptions{.path = "/var/log/app.log", .rotate_every = 24h, .keep = 30},
        .worker = {.env = {{"A", "1"}},
                   .args = {"x"},
                   .cwd = "/",
                   .cpus = {0},
                   .nice = 5,
                   .limits = {{0, {.soft = 1}}},
                   .uid = 1000,
                   .gid = 1000,
                   .program = "/bin/true"},
    };
    CHECK(all.listen[2].is_unix());
    CHECK(all.grace == 5000ms);
    CHECK(all.worker.env.at("A") == "1");

    CHECK(workers_of({}) == 0);
    CHECK(workers_of({.workers = 3}) == 3);
    CHECK(workers_of({.listen = {8080}, .grace = 1s}) == 0);
    CHECK(Options{.listen = {8080}}.listen.size() == 1);
}

TEST_CASE("the defaults suit a server") {
    const Options options;
    CHECK(options.listen.empty());
    CHECK(options.spawn == cohort::Spawn::fork);
    CHECK(options.restart == cohort::Restart::permanent);
    CHECK(options.strategy == cohort::Strategy::one_for_one);
    CHECK_FALSE(options.autoscale);
    CHECK_FALSE(options.hooks.on_exit);
    CHECK_FALSE(options.logs);
    CHECK(options.grace == 30s);
    CHECK(options.credit > 0);
    CHECK(options.max_message == 16U * 1024 * 1024);
    CHECK(options.liveness.timeout == 30s); // longer than any handler should block
    CHECK(options.liveness.slow_after < options.liveness.timeout);
    CHECK(options.recycle.requests + options.recycle.memory == 0);
    CHECK(options.recycle.age == 0s);
    CHECK_FALSE(options.probe.check);
    CHECK_FALSE(options.worker.uid);
    CHECK_FALSE(options.worker.gid);
}

TEST_CASE("options can be shown: each by its name, and no secret of the environment") {
    cohort::Options options;
    options.workers = 3;
    options.listen = {cohort::Endpoint("127.0.0.1:80"), cohort::Endpoint("[::1]:81")};
    options.grace = 7s;
    options.backoff.jitter = 0.5;
    options.hooks.before_fork = [](unsigned) {};
    options.autoscale = {.least = 2};
    options.worker.env = {{"PASSWORD", "secret"}};
    options.worker.args = {"one", "\x1b[31mtwo"};
    const std::string text = describe(options);
    for (const char* const line :
         {"workers: 3", "listen: \"127.0.0.1:80\" \"[::1]:81\"", "spawn: \"fork\"", "grace: 7000 ms",
          "backoff.jitter: 0.5", "hooks.before_fork: set", "hooks.on_exit: -", "autoscale.least: 2",
          "worker.env: \"PASSWORD\"", "worker.args: \"one\" \"\\x1b[31mtwo\"", "worker.nice: -"}) {
        CAPTURE(line);
        CHECK(("\n" + text).find(std::string("\n") + line + "\n") != text.npos);
    }
    CHECK(text.find("secret") == text.npos);
    CHECK(cohort::describe({}).find("autoscale.least") == text.npos);
}

// SPDX-License-Identifier: MIT
// Functions for any master, whatever its messages and its mode are.
#include <cohort/master_base.hpp>

#include <cohort/master.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <support/run_for.hpp>

#include <vector>

namespace {

struct Nothing {};

template <class App>
cohort::Task<> stay(typename App::Worker& self) {
    co_await self.until_stopping();
}

/// Knows nothing of the cluster that it is used in.
cohort::Task<> stop_once_online(cohort::MasterBase& master, std::vector<cohort::WorkerState>& seen) {
    while (const auto event = co_await master.next_event()) {
        seen.push_back(event->kind);
        if (event->kind == cohort::WorkerState::online) master.disconnect(event->worker);
    }
}

template <class App>
std::vector<cohort::WorkerState> what_happens() {
    asio::io_context io;
    App app(io);
    app.spawn(stay<App>);
    std::vector<cohort::WorkerState> seen;
    test::spawn(io, stop_once_online(app, seen));
    test::run_until(io, [&] { return !seen.empty() && seen.back() == cohort::WorkerState::exited; });
    return seen;
}

} // namespace

TEST_CASE("a function that takes a MasterBase works with masters of every message and mode") {
    using enum cohort::WorkerState;
    const std::vector<cohort::WorkerState> expected{forked, online, draining, exited};
    CHECK(what_happens<cohort::Master<Nothing>>() == expected);
    CHECK(what_happens<cohort::Master<Nothing, cohort::SharedSocket>>() == expected);
}

TEST_CASE("the process that runs the tests is no worker") {
    CHECK(cohort::is_master());
    CHECK_FALSE(cohort::is_worker());
}

// SPDX-License-Identifier: MIT
// A cluster in the header-only way with nothing but the core: no llhttp. One way to use the package builds it, since
// all the bodies take long to compile.
#include <cohort/master.hpp>
#include <cohort/mode/round_robin.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

using App = cohort::Master<int, cohort::RoundRobin>;

static cohort::Task<> work(App::Worker&) { co_return; }

static cohort::Task<> watch(App& master, bool& exited) {
    master.spawn(work);
    co_await master.stop();
    exited = true;
}

int main() {
    asio::io_context io;
    App master(io, cohort::Options{});
    bool exited = false;
    asio::co_spawn(io, watch(master, exited), asio::detached);
    io.run();
    return exited ? 0 : 1;
}

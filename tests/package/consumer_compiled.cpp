// SPDX-License-Identifier: MIT
// Uses all of cohort, in the compiled way: HTTP, so that llhttp must have been linked, and a cluster.
#include <cohort.hpp>

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
    const cohort::http::Limits limits;
    cohort::http::RequestParser parser(limits);
    parser.parse("GET /hello HTTP/1.1\r\nHost: here\r\n\r\n");

    asio::io_context io;
    App master(io, cohort::Options{});
    bool exited = false;
    asio::co_spawn(io, watch(master, exited), asio::detached);
    io.run();
    return exited && parser.request().path() == "/hello" ? 0 : 1;
}

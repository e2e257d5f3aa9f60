// SPDX-License-Identifier: MIT
// A real cluster in a test: one message type, a script that plays the master, and worker bodies that many tests need.
// A worker is a forked copy of the test program, so it reports by message or exit code, never by an assertion.
#pragma once

#include "spawn.hpp"

#include <cohort/master.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

using namespace cohort;
using namespace std::chrono_literals;

/// The one message type of the cluster tests.
struct Note {
    std::string text;
    std::int64_t number = 0;
};

/// Where the mode does not matter.
using App = Master<Note, RoundRobin>;
using SharedApp = Master<Note, SharedSocket>;

/// The longest a test may take, on a busy machine and with sanitizers.
inline constexpr std::chrono::seconds limit{60};

/// Workers that end are not replaced, unless a test is about that.
Options plain_options();

/// Workers that end are always replaced.
Options permanent_options(std::chrono::milliseconds grace = 20s);

/// A number that the master sets and workers see, also those that are there already: a page that all processes share.
/// Make it before the first fork.
std::atomic<int>& make_shared_number();

/// Runs the loop until the task has ended; throws what it throws, and when it has not ended within the limit.
void run_script(asio::io_context& io, Task<> script);

/// Runs `script(app)` as the master, in this process. The test fails when it throws or does not end.
template <class A, class Script>
void in_master(Options options, Script script) {
    asio::io_context io(1);
    A app(io, std::move(options));
    run_script(io, script(app));
}

/// The next event of this kind; those before it are skipped.
Task<Event> next(MasterBase& app, WorkerState kind);

/// The end of this worker.
Task<Event> end_of(MasterBase& app, WorkerId worker);

/// Until so many endpoints are served; gives the port of the last one.
Task<std::uint16_t> served_port(MasterBase& app, unsigned count = 1);

/// The next message of any worker.
template <class A>
Task<typename A::Mail> mail(A& app) {
    auto received = co_await app.receive();
    if (!received) throw std::runtime_error("no more messages");
    co_return std::move(*received);
}

/// All that happens until the last worker has gone.
Task<std::vector<Event>> all_events(MasterBase& app);

std::vector<WorkerState> kinds(const std::vector<Event>& events);

template <class A>
Task<> tell(A& app, WorkerId worker, std::string text, std::int64_t number = 0) {
    const Note note{std::move(text), number};
    co_await app.send(worker, note);
}

Task<> pause(asio::io_context& io, std::chrono::milliseconds time);

// In workers

template <class W>
Task<> say(W& self, std::string text, std::int64_t number = 0) {
    const Note note{std::move(text), number};
    co_await self.send(note);
}

/// Does nothing until it is asked to leave.
Task<> idle(WorkerBase& self);

/// Never goes back to its event loop, once what it has sent is on its way.
Task<> hang(WorkerBase& self);

/// Loops without ever going back to its event loop.
template <class W>
Task<> spin(W& self) {
    co_await say(self, "spinning");
    co_await hang(self);
}

/// Lives until its channel ends and sends back what it gets.
template <class W>
Task<> echo(W& self) {
    while (const auto note = co_await self.receive()) co_await self.send(*note);
}

} // namespace test

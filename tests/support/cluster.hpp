// SPDX-License-Identifier: MIT
// A real cluster in a test: one message type, a script that plays the master, and worker bodies that many tests need.
// A worker is a forked copy of the test program, so it reports by message or exit code, never by an assertion.
#pragma once

#include <cohort/master.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>

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
inline constexpr std::chrono::seconds limit{30};

/// Workers that end are not replaced, unless a test is about that.
inline Options plain_options() {
    Options options;
    options.restart = Restart::temporary;
    options.grace = 20s;
    return options;
}

/// Workers that end are always replaced.
inline Options permanent_options(std::chrono::milliseconds grace = 20s) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.grace = grace;
    return options;
}

/// A number that the master sets and workers see, also those that are there already: a page that all processes share.
/// Make it before the first fork.
inline std::atomic<int>& make_shared_number() {
    void* const page =
        ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *new (page) std::atomic<int>(0);
}

/// Runs `script(app)` as the master, in this process. The test fails when it throws or does not end.
template <class A, class Script>
void in_master(Options options, Script script) {
    asio::io_context io(1);
    A app(io, std::move(options));
    std::exception_ptr failure;
    bool ended = false;
    asio::co_spawn(io, script(app), [&](std::exception_ptr error) {
        failure = std::move(error);
        ended = true;
        io.stop();
    });
    io.run_for(limit);
    if (failure) std::rethrow_exception(failure);
    if (!ended) throw std::runtime_error("the script of the test did not end");
}

/// The next event of this kind; those before it are skipped.
template <class A>
Task<Event> next(A& app, WorkerState kind) {
    while (const auto event = co_await app.next_event())
        if (event->kind == kind) co_return *event;
    throw std::runtime_error("no more events, none was " + std::string(to_string(kind)));
}

/// The end of this worker.
template <class A>
Task<Event> end_of(A& app, WorkerId worker) {
    for (;;) {
        const Event event = co_await next(app, WorkerState::exited);
        if (event.worker == worker) co_return event;
    }
}

/// Until so many endpoints are served; gives the port of the last one.
template <class A>
Task<std::uint16_t> served_port(A& app, unsigned count = 1) {
    std::uint16_t port = 0;
    for (unsigned i = 0; i < count; ++i) {
        const Event event = co_await next(app, WorkerState::listening);
        port = event.endpoint->port();
    }
    co_return port;
}

/// The next message of any worker.
template <class A>
Task<typename A::Mail> mail(A& app) {
    auto received = co_await app.receive();
    if (!received) throw std::runtime_error("no more messages");
    co_return std::move(*received);
}

/// All that happens until the last worker has gone.
template <class A>
Task<std::vector<Event>> all_events(A& app) {
    std::vector<Event> events;
    while (const auto event = co_await app.next_event()) events.push_back(*event);
    co_return events;
}

inline std::vector<WorkerState> kinds(const std::vector<Event>& events) {
    std::vector<WorkerState> result;
    for (const auto& event : events) result.push_back(event.kind);
    return result;
}

template <class A>
Task<> tell(A& app, WorkerId worker, std::string text, std::int64_t number = 0) {
    const Note note{std::move(text), number};
    co_await app.send(worker, note);
}

inline Task<> pause(asio::io_context& io, std::chrono::milliseconds time) {
    asio::steady_timer timer(io, time);
    co_await timer.async_wait(asio::use_awaitable);
}

// In workers

template <class W>
Task<> say(W& self, std::string text, std::int64_t number = 0) {
    const Note note{std::move(text), number};
    co_await self.send(note);
}

/// Does nothing until it is asked to leave.
template <class W>
Task<> idle(W& self) {
    co_await self.until_stopping();
}

/// Loops without ever going back to its event loop.
template <class W>
Task<> spin(W& self) {
    co_await say(self, "spinning");
    co_await pause(self.context(), 1ms); // the message is on its way
    volatile bool forever = true;
    while (forever) {
    }
}

/// Lives until its channel ends and sends back what it gets.
template <class W>
Task<> echo(W& self) {
    while (const auto note = co_await self.receive()) co_await self.send(*note);
}

} // namespace test

// SPDX-License-Identifier: MIT
#include "cluster.hpp"

#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <new>

#include <sys/mman.h>

namespace test {

Options plain_options() {
    Options options;
    options.restart = Restart::temporary;
    options.grace = 20s;
    return options;
}

Options permanent_options(std::chrono::milliseconds grace) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.grace = grace;
    return options;
}

std::atomic<int>& make_shared_number() {
    void* const page =
        ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *new (page) std::atomic<int>(0);
}

void run_script(asio::io_context& io, Task<> script) {
    std::exception_ptr failure;
    bool ended = false;
    spawn(io, std::move(script), [&](std::exception_ptr error) {
        failure = std::move(error);
        ended = true;
        io.stop();
    });
    io.run_for(limit);
    if (failure) std::rethrow_exception(failure);
    if (!ended) throw std::runtime_error("the script of the test did not end");
}

Task<Event> next(MasterBase& app, WorkerState kind) {
    while (const auto event = co_await app.next_event())
        if (event->kind == kind) co_return *event;
    throw std::runtime_error("no more events, none was " + std::string(to_string(kind)));
}

Task<Event> end_of(MasterBase& app, WorkerId worker) {
    for (;;) {
        const Event event = co_await next(app, WorkerState::exited);
        if (event.worker == worker) co_return event;
    }
}

Task<std::uint16_t> served_port(MasterBase& app, unsigned count) {
    std::uint16_t port = 0;
    for (unsigned i = 0; i < count; ++i) {
        const Event event = co_await next(app, WorkerState::listening);
        port = event.endpoint->port();
    }
    co_return port;
}

Task<std::vector<Event>> all_events(MasterBase& app) {
    std::vector<Event> events;
    while (const auto event = co_await app.next_event()) events.push_back(*event);
    co_return events;
}

std::vector<WorkerState> kinds(const std::vector<Event>& events) {
    std::vector<WorkerState> result;
    for (const auto& event : events) result.push_back(event.kind);
    return result;
}

Task<> pause(asio::io_context& io, std::chrono::milliseconds time) {
    asio::steady_timer timer(io, time);
    co_await timer.async_wait(asio::use_awaitable);
}

Task<> idle(WorkerBase& self) { co_await self.until_stopping(); }

Task<> hang(WorkerBase& self) {
    co_await pause(self.context(), 1ms);
    volatile bool forever = true;
    while (forever) {
    }
}

} // namespace test

// SPDX-License-Identifier: MIT
#include <cohort/detail/worker/heartbeat.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <optional>
#include <system_error>

using namespace cohort::detail;
using namespace std::chrono_literals;

namespace {

/// Until the counter has changed; false when it does not.
bool beats_again(asio::io_context& io, const WorkerCell& cell) {
    const auto before = cell.heartbeat.load();
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (cell.heartbeat.load() == before && std::chrono::steady_clock::now() < end) io.run_one_for(10s);
    return cell.heartbeat.load() != before;
}

} // namespace

TEST_CASE("a heart beats at once, and again with every interval in which the loop turns") {
    asio::io_context io;
    WorkerCell cell{};
    cell.beat_interval = 1;
    std::optional<Heartbeat> heartbeat;
    heartbeat.emplace(io, cell);
    CHECK(cell.heartbeat.load() == 1);
    for (int i = 0; i < 5; ++i) CHECK(beats_again(io, cell));
    heartbeat->end();
    CHECK(cell.heartbeat.load() == WorkerCell::last_beat);
    heartbeat.reset();
    io.run(); // nothing is left
}

TEST_CASE("one that goes when its next beat is due already beats no more") {
    using Clock = std::chrono::steady_clock;
    asio::io_context io;
    WorkerCell cell{};
    cell.beat_interval = 1;
    std::optional<Heartbeat> heartbeat;
    asio::steady_timer sooner(io, Clock::now());
    sooner.async_wait([&heartbeat](std::error_code) { heartbeat.reset(); });
    heartbeat.emplace(io, cell);
    const auto due = Clock::now() + 1ms;
    while (Clock::now() <= due) {
    }
    io.run_for(10s); // both are due at the first look
    CHECK(cell.heartbeat.load() == 1);
}

TEST_CASE("with an interval of 0 it does not") {
    asio::io_context io;
    WorkerCell cell{};
    const Heartbeat heartbeat(io, cell);
    io.run();
    CHECK(cell.heartbeat.load() == 0);
}

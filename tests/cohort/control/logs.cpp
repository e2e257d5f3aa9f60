// SPDX-License-Identifier: MIT
// The log, followed through a control socket.
#include <cohort/control.hpp>

#include "support/logs.hpp"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <string>
#include <vector>

#include <unistd.h>

using namespace test;

namespace {

Options steered(const Log& log, bool captures = true) {
    Options options = captures ? log.options() : plain_options();
    options.control.path = log.folder / "control";
    return options;
}

Task<control::Client> connect(MasterBase& app) {
    return control::Client::connect(app.context().get_executor(), app.options().control.path);
}

Task<> repeat(App::Worker& self) {
    while (const auto note = co_await self.receive()) {
        const int stream = note->text.starts_with("error") ? STDERR_FILENO : STDOUT_FILENO;
        for (std::int64_t i = 0; i <= note->number; ++i) write_line(note->text, stream);
    }
}

/// What it says from this number on until so many lines have come, or it has ended.
Task<std::vector<control::LogLine>> follow(control::Client& client, std::uint64_t from, std::size_t count) {
    std::vector<control::LogLine> lines;
    for (bool ended = false; lines.size() < count && !ended;) {
        control::Logs some = co_await client.logs(from);
        CHECK(some.missed == 0);
        std::ranges::move(some.lines, std::back_inserter(lines));
        from = some.next;
        ended = some.ended;
    }
    co_return lines;
}

} // namespace

TEST_CASE("several readers follow the log, each from the number on that it asks for") {
    const Log log;
    in_master<App>(steered(log), [](App& app) -> Task<> {
        const auto begin = std::chrono::system_clock::now();
        for (int i = 0; i != 2; ++i) app.spawn(repeat);
        control::Client one = co_await connect(app);
        control::Client other = co_await connect(app);
        std::vector<control::LogLine> followed;
        std::vector<control::LogLine> again;
        co_await both(keep_result(follow(one, 1, 2), followed), tell(app, 1, "first", 1));
        REQUIRE(followed.size() == 2);
        CHECK(followed[0].number == 1);
        CHECK(followed[0].worker == 1);
        CHECK(followed[0].slot == 0);
        CHECK(followed[0].stream == "stdout");
        CHECK(followed[0].text == "first");
        CHECK(followed[0].time >= begin);
        CHECK_FALSE(followed[0].partial);
        co_await both(keep_result(follow(one, 3, 1), followed), tell(app, 2, "error"));
        REQUIRE(followed.size() == 1);
        CHECK(followed[0].worker == 2);
        CHECK(followed[0].stream == "stderr");
        again = co_await follow(other, 1, 3);
        REQUIRE(again.size() == 3);
        CHECK(again[2].text == "error");
        again = co_await follow(other, 77, 3); // of a master before
        CHECK(again.size() == 3);
        co_await both(keep_result(follow(other, 4, 100), again), drop_result(one.stop()));
        CHECK(again.empty()); // it has ended
    });
}

TEST_CASE("who comes too late is told how much was missed; the last lines of a quiet worker stay") {
    const Log log;
    in_master<App>(steered(log), [](App& app) -> Task<> {
        for (int i = 0; i != 2; ++i) app.spawn(repeat);
        control::Client client = co_await connect(app);
        std::vector<control::LogLine> quiet;
        co_await both(keep_result(follow(client, 1, 1), quiet), tell(app, 1, "quiet"));
        constexpr std::int64_t count = 20'000;
        co_await tell(app, 2, std::string(100, 'x'), count - 1);
        control::Logs loud;
        loud.next = 2;
        std::uint64_t seen = 1;
        std::uint64_t missed = 0;
        while (loud.next != count + 2) {
            loud = co_await client.logs(loud.next);
            seen += loud.lines.size();
            missed += loud.missed;
        }
        CHECK(seen + missed == count + 1);
        const control::Logs all = co_await client.logs(1);
        CHECK(all.missed > count / 2);
        REQUIRE_FALSE(all.lines.empty());
        CHECK(all.lines.front().text == "quiet");
        const control::Logs last = co_await client.last_logs(1);
        REQUIRE(last.lines.size() == 1);
        CHECK(last.lines.front().text == "quiet");
        const control::Logs of_loud = co_await client.last_logs(2, 7);
        CHECK(of_loud.lines.size() == 7);
        CHECK(of_loud.lines.back().number == count + 1);
        app.kill(1, SIGKILL);
        co_await end_of(app, 1);
        const control::Logs of_dead = co_await client.last_logs(1);
        CHECK(of_dead.lines.size() == 1);
        co_await client.stop();
    });
}

TEST_CASE("without a log there is nothing to follow") {
    const Log log;
    in_master<App>(steered(log, false), [](App& app) -> Task<> {
        app.spawn(idle);
        const control::Client client = co_await connect(app);
        std::error_code error;
        try {
            co_await client.logs(1);
        } catch (const std::system_error& thrown) {
            error = thrown.code();
        }
        CHECK(error == std::errc::operation_not_supported);
        co_await client.stop();
    });
}

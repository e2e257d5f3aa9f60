// SPDX-License-Identifier: MIT
#include <cohort/detail/logs/log_queue.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace cohort::detail;
using cohort::LogFormat;

namespace {

constexpr LogQueue::Time now{};

std::string drain(LogQueue& queue, std::size_t bytes = 1'000) {
    std::string all;
    while (!queue.is_empty()) {
        const auto lines = queue.front(bytes);
        REQUIRE(lines.ends_with('\n'));
        all += lines;
        queue.pop(lines.size());
    }
    return all;
}

bool contains(const std::string& all, const std::string& text) { return all.find(text) != std::string::npos; }

LogSource worker(unsigned id) { return {id, id - 1, LogStream::output}; }

} // namespace

TEST_CASE("lines come out whole and in order, however much is taken at a time") {
    for (const std::size_t bytes : {1U, 50U, 60U, 119U, 120U, 121U, 1'000U}) {
        LogQueue queue(LogFormat::text, 10'000);
        std::string expected;
        LogFormatter formatter(LogFormat::text);
        for (unsigned i = 0; i != 50; ++i) {
            const std::string text(i, 'x');
            formatter.append(expected, worker(1), now, {text});
            CHECK(queue.add(worker(1), now, {text}));
        }
        CHECK(drain(queue, bytes) == expected);
    }
}

TEST_CASE("what there is no room for is lost in whole lines, counted for each worker, and told of when there is room") {
    LogQueue queue(LogFormat::text, 500);
    int taken = 0;
    while (queue.add(worker(1), now, {"first"})) ++taken;
    CHECK(queue.is_full());
    for (int i = 0; i != 4; ++i) CHECK_FALSE(queue.add(worker(2), now, {"second"}));
    CHECK_FALSE(queue.add({}, now, {"of the master"}));
    CHECK(queue.count_lost() == static_cast<unsigned>(taken) + 6);
    queue.tell_lost(now); // there is no room for that either
    std::string all = drain(queue);
    CHECK(std::ranges::count(all, '\n') == taken);
    CHECK_FALSE(contains(all, "lost"));
    CHECK(queue.add(worker(1), now, {"next"}));
    all = drain(queue);
    CHECK(contains(all, "cohort: 1 lines of worker 1 were lost"));
    CHECK(contains(all, "cohort: 4 lines of worker 2 were lost"));
    CHECK(contains(all, "cohort: 1 lines were lost"));
    CHECK(all.ends_with("worker 1 slot 0 stdout: next\n"));
    queue.tell_lost(now);
    CHECK(queue.is_empty()); // it was said once
}

TEST_CASE("lines that were read when there was room are kept together, however many they are") {
    LogQueue queue(LogFormat::text, 500);
    CHECK(queue.add(worker(1), now, {"first"}));
    CHECK_FALSE(queue.is_full());
    for (int i = 0; i != 100; ++i) CHECK(queue.add(worker(1), now, {std::to_string(i)}, true));
    CHECK(queue.is_full_twice());
    CHECK_FALSE(queue.add(worker(1), now, {"of the next read"}));
    CHECK(queue.count_lost() == 102);
    const std::string all = drain(queue);
    CHECK(std::ranges::count(all, '\n') == 101);
    CHECK(all.ends_with("stdout: 99\n"));
}

TEST_CASE("without a next line it is told, too; many workers together") {
    LogQueue queue(LogFormat::json, 10);
    CHECK(queue.add({}, now, {"one"}));
    constexpr unsigned workers = 1'000;
    for (unsigned id = 1; id <= workers; ++id) CHECK_FALSE(queue.add(worker(id), now, {"x"}));
    unsigned long lost = 0;
    drain(queue);
    for (std::string all = "x"; !all.empty();) {
        queue.tell_lost(now);
        all = drain(queue);
        if (!all.empty()) lost += std::stoul(all.substr(all.find("\"text\":\"") + 8));
    }
    CHECK(lost == workers);
}

TEST_CASE("what is only said here of lost lines counts as lost, and not as a line, until it is taken") {
    LogQueue queue(LogFormat::text, 200);
    std::uint64_t given = 0;
    std::uint64_t taken = 0;
    for (int i = 0; i != 200; ++i) {
        queue.add(worker(1), now, {std::to_string(i)});
        ++given;
        if (i % 7 != 0) continue;
        const std::string line(queue.front(1));
        queue.pop(line.size());
        const bool is_said = contains(line, " were lost: ");
        taken += is_said ? std::stoull(line.substr(line.find("cohort: ") + 8)) : 1;
        CHECK(taken + queue.count_lost() == given);
    }
    LogQueue last(LogFormat::text, 200);
    last.tell_lost_at_end(now, queue.count_lost());
    CHECK(contains(drain(last), "cohort: " + std::to_string(given - taken) + " lines were lost: "));
    last.tell_lost_at_end(now, 0);
    CHECK(last.is_empty());
}

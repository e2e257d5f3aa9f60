// SPDX-License-Identifier: MIT
#include <cohort/detail/logs/recent_lines.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <string>

using namespace cohort::detail;

namespace {

LogSource worker(cohort::WorkerId id, unsigned slot) { return {id, slot, LogStream::output}; }

struct Fixture {
    void add(const LogSource& source, const std::string& text) { lines.add(source, {}, {text}); }

    asio::io_context io;
    RecentLines lines{io.get_executor(), 100'000};
};

} // namespace

TEST_CASE_FIXTURE(Fixture, "lines of all slots have numbers and come in their order") {
    CHECK(lines.next_number() == 1);
    for (unsigned i = 0; i != 30; ++i) add(worker(i % 3 + 1, i % 3), std::to_string(i));
    add({}, "of the master");
    const auto all = lines.since(1, 100);
    REQUIRE(all.size() == 31);
    for (std::size_t i = 0; i != 30; ++i) {
        CHECK(all[i]->number == i + 1);
        CHECK(all[i]->text == std::to_string(i));
        CHECK(all[i]->source.slot == i % 3);
    }
    CHECK(all[30]->text == "of the master");
    const auto some = lines.since(10, 5);
    REQUIRE(some.size() == 5);
    CHECK(some.front()->number == 10);
    CHECK(some.back()->number == 14);
    CHECK(lines.since(32, 5).empty());
}

TEST_CASE_FIXTURE(Fixture, "who writes much takes nothing from others, and memory is bounded") {
    for (int i = 0; i != 10; ++i) add(worker(1, 0), "quiet " + std::to_string(i));
    const std::string loud(2'000, 'x');
    for (int i = 0; i != 1'000; ++i) add(worker(2, 1), loud);
    for (int i = 0; i != 10'000; ++i) add(worker(3, 2), "");
    const auto quiet = lines.last(1, 50);
    REQUIRE(quiet.size() == 10);
    CHECK(quiet.front()->text == "quiet 0");
    std::size_t bytes = 0;
    for (const auto* entry : lines.since(1, 100'000)) bytes += sizeof *entry + entry->text.size();
    CHECK(bytes <= 100'000);
    CHECK(bytes > 50'000);
    CHECK(lines.last(2, 1'000).size() > 10); // about as many bytes as the other
    CHECK(lines.last(3, 1'000).size() > 100);
    CHECK(lines.last(3, 1'000).back()->number == lines.next_number() - 1);
}

TEST_CASE_FIXTURE(Fixture, "the last lines of a worker are its own, not its successor's") {
    for (int i = 0; i != 100; ++i) add(worker(1, 0), "old " + std::to_string(i));
    for (int i = 0; i != 3; ++i) add(worker(2, 0), "new");
    const auto last = lines.last(1, 50);
    REQUIRE(last.size() == 50);
    CHECK(last.front()->text == "old 50");
    CHECK(last.back()->text == "old 99");
    CHECK(lines.last(2, 50).size() == 3);
    CHECK(lines.last(77, 50).empty());
}

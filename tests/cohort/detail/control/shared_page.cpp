// SPDX-License-Identifier: MIT
#include <cohort/detail/control/shared_page.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <csignal>
#include <set>

#include <fcntl.h>

using namespace cohort::detail;

TEST_CASE("what a forked worker counts is seen by the master, also after the worker's death") {
    SharedPage page;
    const auto index = page.acquire();
    const pid_t child = test::fork_child([&] {
        page[index].taken.store(42);
        ::raise(SIGKILL);
        return 0;
    });
    CHECK(test::wait_for(child) == -SIGKILL);
    CHECK(page[index].taken.load() == 42);
}

TEST_CASE("a program started anew maps the same page by its descriptor") {
    SharedPage page;
    SharedPage mapped(UniqueFd(::dup(page.descriptor())));
    CHECK(mapped.descriptor() == -1);
    page[7].taken.store(3);
    CHECK(mapped[7].taken.load() == 3);
    mapped[7].wanted.store(1);
    CHECK(page[7].wanted.load() == 1);
}

TEST_CASE("cells are all different, and zero again when they are given out again") {
    SharedPage page;
    std::set<std::uint32_t> given;
    for (std::size_t i = 0; i < SharedPage::cells; ++i) {
        const auto index = page.acquire();
        REQUIRE(index < SharedPage::cells);
        CHECK(given.insert(index).second);
    }
    try {
        page.acquire();
        FAIL("there was one more");
    } catch (const std::system_error& error) {
        CHECK(error.code() == cohort::Errc::no_free_slot);
    }
    page[5].taken.store(9);
    page[5].wanted.store(1);
    page.release(5);
    REQUIRE(page.acquire() == 5);
    CHECK(page[5].taken.load() == 0);
    CHECK(page[5].wanted.load() == 0);
}

TEST_CASE("nobody can cut the page under the others' feet") {
    const SharedPage page;
    CHECK(::ftruncate(page.descriptor(), 0) != 0);
    CHECK(::ftruncate(page.descriptor(), SharedPage::bytes * 2) != 0);
    CHECK((::fcntl(page.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("the cell of a worker is as new when it is given out again") {
    SharedPage page;
    const auto index = page.acquire_worker();
    WorkerCell& cell = page.worker(index);
    for (auto* counter : {&cell.accepted, &cell.refused, &cell.heartbeat, &cell.begun, &cell.ended}) counter->store(3);
    cell.open.store(3);
    cell.limit.store(3);
    cell.beat_interval.store(3);
    page.release_worker(index);
    REQUIRE(page.acquire_worker() == index);
    for (auto* counter : {&cell.accepted, &cell.refused, &cell.heartbeat, &cell.begun, &cell.ended})
        CHECK(counter->load() == 0);
    CHECK(cell.open.load() == 0);
    CHECK(cell.limit.load() == WorkerCell::no_limit);
    CHECK(cell.beat_interval.load() == 0);
}

TEST_CASE("totals are of all workers, the dead too") {
    SharedPage page;
    CHECK(page.totals().workers == 0);
    const auto first = page.acquire_worker();
    const auto second = page.acquire_worker();
    page.worker(first).accepted.store(3);
    page.worker(first).open.store(2);
    page.worker(first).begun.store(5);
    page.worker(first).ended.store(4);
    page.worker(second).begun.store(10);
    page.worker(second).ended.store(9);
    for (const int status : {200, 204, 404, 101, 599, 99, 600, 0}) page.worker(second).count_response(status);
    page.release_worker(first);
    cohort::Totals totals = page.totals();
    CHECK(totals.workers == 1);
    CHECK(totals.accepted == 3);
    CHECK(totals.open == 0);
    CHECK(totals.requests == 15);
    CHECK(totals.answered == 14); // what a dead worker had begun is over
    CHECK(totals.responses == std::array<std::uint64_t, 5>{1, 2, 0, 1, 1});
    REQUIRE(page.acquire_worker() == first);
    CHECK(page.worker(first).begun.load() == 0);
    totals = page.totals();
    CHECK(totals.workers == 2);
    CHECK(totals.requests == 15);
}

TEST_CASE("totals never go back while workers come and go") {
    SharedPage page;
    const pid_t reader = test::fork_child([&] {
        std::uint64_t last = 0;
        while (last != 20'000) {
            const auto totals = page.totals();
            if (totals.requests < last || totals.answered > totals.requests) return 1;
            last = totals.requests;
        }
        return 0;
    });
    for (int i = 0; i != 20'000; ++i) {
        const auto index = page.acquire_worker();
        page.worker(index).begun.fetch_add(1);
        page.worker(index).ended.fetch_add(1);
        page.release_worker(index);
    }
    CHECK(test::wait_for(reader) == 0);
}

TEST_CASE("counters have names, and belong to all processes") {
    SharedPage page;
    page.counter("app_hits_total").add();
    const pid_t child = test::fork_child([&] {
        page.counter("app_hits_total").add(4);
        page.counter("app_temperature").set(-7);
        ::raise(SIGKILL);
        return 0;
    });
    CHECK(test::wait_for(child) == -SIGKILL);
    CHECK(page.counter("app_hits_total").value() == 5);
    const auto totals = page.totals();
    REQUIRE(totals.counts.size() == 2);
    CHECK(totals.counts[1].name == "app_temperature");
    CHECK(totals.counts[1].value == -7);
    for (const char* bad : {"", "a b", "1a", "a-b", "a\n"}) CHECK_THROWS_AS(page.counter(bad), std::invalid_argument);
    CHECK_THROWS_AS(page.counter(std::string(52, 'a')), std::invalid_argument);
    page.counter(std::string(51, 'a')).add();
    for (std::size_t i = 3; i != SharedPage::counters; ++i) page.counter("n" + std::to_string(i));
    CHECK_THROWS_AS(page.counter("one_more"), std::system_error);
    CHECK(page.totals().counts.size() == SharedPage::counters);
}

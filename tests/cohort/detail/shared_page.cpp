// SPDX-License-Identifier: MIT
#include <cohort/detail/shared_page.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <csignal>
#include <set>

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

// SPDX-License-Identifier: MIT
#include <cohort/detail/control/shared_page.hpp>

#include <cohort/detail/system/system.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>

using namespace cohort::detail;

namespace {

/// The end of a child that is this worker, forked.
template <class Body>
int in_worker(SharedPage& page, std::uint32_t part, Body body) {
    return test::in_child([&] {
        page.become_worker(part);
        return body();
    });
}

/// What a worker that was started anew has.
struct Anew {
    Anew(SharedPage& master, cohort::WorkerId id)
        : part(master.acquire_worker(id, 0, true)),
          page(duplicate(master.descriptor()), duplicate(master.descriptor(part)), part, id) {}
    std::uint32_t part;
    SharedPage page;
};

} // namespace

TEST_CASE("what a forked worker counts is seen by the master, also after the worker's death") {
    SharedPage page;
    const auto part = page.acquire_worker(1);
    const auto listener = page.acquire();
    const int end = in_worker(page, part, [&] {
        page.cell(part, listener).taken.store(42);
        page.worker(part).begun.store(7);
        ::raise(SIGKILL);
        return 0;
    });
    CHECK(end == -SIGKILL);
    CHECK(page.cell(part, listener).taken.load() == 42);
    CHECK(page.totals().requests == 7);
}

TEST_CASE("a program started anew has its own part by its descriptor, and keeps none open") {
    SharedPage master;
    Anew worker(master, 3);
    CHECK(worker.page.descriptor() == -1);
    CHECK(worker.page.descriptor(worker.part) == -1);
    master.cell(worker.part, 7).wanted.store(1);
    CHECK(worker.page.cell(worker.part, 7).wanted.load() == 1);
    worker.page.worker(worker.part).begun.store(4);
    CHECK(master.totals().requests == 4);
    CHECK(worker.page.totals().requests == 4);
    CHECK(worker.page.totals().workers == 1);
}

TEST_CASE("a worker sees what those count that come after it, once it has their part") {
    SharedPage master;
    Anew first(master, 1);
    Anew second(master, 2);
    second.page.worker(second.part).begun.store(5);
    second.page.counter("hits").add(3);
    CHECK(first.page.totals().requests == 0);
    REQUIRE(master.sealed(second.part) != nullptr);
    first.page.show(second.part, 2, duplicate(master.descriptor(second.part)));
    CHECK(first.page.totals().requests == 5);
    CHECK(first.page.counter("hits").value() == 3);
    master.release_worker(second.part);
    CHECK(first.page.totals().requests == 5);
    Anew third(master, 3); // has the number of the second
    REQUIRE(third.part == second.part);
    third.page.worker(third.part).begun.store(1);
    CHECK(first.page.totals().requests == 5);
    first.page.show(third.part, 3, duplicate(master.descriptor(third.part)));
    CHECK(first.page.totals().requests == 6);
}

TEST_CASE("what is no part of a worker is not shown") {
    SharedPage master;
    Anew worker(master, 1);
    worker.page.show(SharedPage::worker_cells, 2, duplicate(master.descriptor(worker.part)));
    worker.page.show(5, 2, duplicate(STDIN_FILENO));
    worker.page.show(5, 2, UniqueFd(::memfd_create("not sealed", MFD_CLOEXEC)));
    CHECK(worker.page.totals().workers == 1);
}

TEST_CASE("numbers of listeners are all different") {
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
    page.release(5);
    CHECK(page.acquire() == 5);
}

TEST_CASE("nobody can cut a part under the others' feet, nor write to it by its descriptor") {
    SharedPage page;
    const auto part = page.acquire_worker(1);
    for (const int memory : {page.descriptor(), page.descriptor(part)}) {
        CHECK(::ftruncate(memory, 0) != 0);
        CHECK(::ftruncate(memory, 1 << 20) != 0);
        CHECK(::pwrite(memory, "x", 1, 0) == -1);
        CHECK(::fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0);
        CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) == MAP_FAILED);
        CHECK((::fcntl(memory, F_GETFD) & FD_CLOEXEC) != 0);
    }
    const auto kept = page.sealed(part);
    page.forget_descriptor(part);
    CHECK(page.descriptor(part) == -1);
    CHECK(page.sealed(part) == nullptr);
    CHECK(::fcntl(kept->get(), F_GETFD) != -1); // for whom it is still to be sent
}

TEST_CASE("a worker gets a part that nobody has had: who outlives the one before writes to nothing of it") {
    SharedPage page;
    const auto part = page.acquire_worker(1);
    WorkerCell& cell = page.worker(part);
    for (auto* counter : {&cell.accepted, &cell.refused, &cell.heartbeat, &cell.begun, &cell.ended}) counter->store(3);
    cell.open.store(3);
    cell.limit.store(3);
    cell.beat_interval.store(3);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t survivor = test::fork_child([&] {
        char byte = 0;
        page.become_worker(part);
        ::close(ends[1]);
        [[maybe_unused]] const auto count = ::read(ends[0], &byte, 1);
        std::memset(static_cast<void*>(&page.worker(part)), 0x5a, sizeof(WorkerCell));
        page.counter("left").add(8);
        return 0;
    });
    page.release_worker(part);
    REQUIRE(page.acquire_worker(2) == part);
    page.worker(part).begun.store(1);
    ::close(ends[0]);
    ::close(ends[1]);
    CHECK(test::wait_for(survivor) == 0);
    for (auto* counter : {&cell.accepted, &cell.refused, &cell.heartbeat, &cell.ended}) CHECK(counter->load() == 0);
    CHECK(cell.begun.load() == 1);
    CHECK(cell.open.load() == 0);
    CHECK(cell.limit.load() == WorkerCell::no_limit);
    CHECK(cell.beat_interval.load() == 0);
    CHECK(page.totals().requests == 4);
}

TEST_CASE("totals are of all workers, the dead too") {
    SharedPage page;
    CHECK(page.totals().workers == 0);
    const auto first = page.acquire_worker(1);
    const auto second = page.acquire_worker(2);
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
    REQUIRE(page.acquire_worker(3) == first);
    CHECK(page.worker(first).begun.load() == 0);
    totals = page.totals();
    CHECK(totals.workers == 2);
    CHECK(totals.requests == 15);
}

TEST_CASE("totals never go back while workers come and go") {
    constexpr std::uint64_t workers = 2'000;
    SharedPage page;
    std::vector<std::uint32_t> parts;
    for (std::uint64_t i = 0; i != 500; ++i) {
        parts.push_back(page.acquire_worker(static_cast<cohort::WorkerId>(i + 1)));
        page.forget_descriptor(parts.back());
        page.worker(parts.back()).begun.store(workers / 500);
        page.worker(parts.back()).ended.store(workers / 500);
    }
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t reader = test::fork_child([&] {
        page.become_worker(parts.back());
        std::uint64_t last = workers;
        std::uint32_t left = 500;
        [[maybe_unused]] const auto told = ::write(ready[1], "x", 1);
        while (left > 1) {
            const auto totals = page.totals();
            if (totals.requests != last || totals.answered > totals.requests) return 1;
            left = totals.workers;
        }
        return 0;
    });
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) page.release_worker(parts[i]);
    CHECK(test::wait_for(reader) == 0);
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_CASE("counters have names, and each process has its share") {
    SharedPage page;
    const auto part = page.acquire_worker(1);
    auto hits = page.counter("app_hits_total");
    hits.add();
    const int end = in_worker(page, part, [&] {
        hits.add(2); // also one that the master has made
        page.counter("app_hits_total").add(2);
        page.counter("app_temperature").set(-7);
        if (page.counter("app_hits_total").value() != 5) return 1;
        ::raise(SIGKILL);
        return 0;
    });
    CHECK(end == -SIGKILL);
    for (const bool gone : {false, true}) {
        if (gone) page.release_worker(part);
        CHECK(hits.value() == 5);
        CHECK(page.counter("app_temperature").value() == -7);
        const auto totals = page.totals();
        REQUIRE(totals.counts.size() == 2);
        CHECK(totals.counts[1].name == "app_temperature");
        CHECK(totals.counts[1].value == -7);
    }
    for (const char* bad : {"", "a b", "1a", "a-b", "a\n"}) CHECK_THROWS_AS(page.counter(bad), std::invalid_argument);
    CHECK_THROWS_AS(page.counter(std::string(52, 'a')), std::invalid_argument);
    page.counter(std::string(51, 'a')).add();
    for (std::size_t i = 3; i != SharedPage::counters; ++i) page.counter("n" + std::to_string(i));
    CHECK_THROWS_AS(page.counter("one_more"), std::system_error);
    CHECK(page.totals().counts.size() == SharedPage::counters);
}

TEST_CASE("who sets a counter last sets it for all, and what is added then is added to that") {
    SharedPage page;
    Anew worker(page, 1);
    auto masters = page.counter("level");
    auto workers = worker.page.counter("level");
    const auto both = [&](std::int64_t value) {
        CHECK(masters.value() == value);
        CHECK(workers.value() == value);
    };
    masters.add(10);
    workers.add(1);
    both(11);
    workers.set(100);
    both(100);
    masters.add(5);
    both(105);
    masters.set(-3);
    both(-3);
    workers.add(1);
    both(-2);
    page.release_worker(worker.part);
    CHECK(masters.value() == -2);
    masters.set(std::numeric_limits<std::int64_t>::min());
    CHECK(masters.value() == std::numeric_limits<std::int64_t>::min());
    masters.add(-1);
    CHECK(masters.value() == std::numeric_limits<std::int64_t>::max());
}

// A worker that was taken over, or writes where it should not

namespace {

using Lie = std::function<void(WorkerPart&)>;

/// All fields that a worker writes, each with values that no worker means.
std::map<std::string, Lie> lies() {
    std::map<std::string, Lie> all;
    const auto add = [&all]<class Field>(const std::string& name, Field field) {
        for (const auto value :
             {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x7fffffff}, std::uint64_t{0xffffffff},
              std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{0} - 1})
            all[name + " " + std::to_string(value)] = [field, value](WorkerPart& part) {
                auto& place = field(part);
                place.store(static_cast<decltype(place.load())>(value));
            };
    };
    add("accepted", [](WorkerPart& part) -> auto& { return part.shown.vitals.accepted; });
    add("refused", [](WorkerPart& part) -> auto& { return part.shown.vitals.refused; });
    add("open", [](WorkerPart& part) -> auto& { return part.shown.vitals.open; });
    add("limit", [](WorkerPart& part) -> auto& { return part.shown.vitals.limit; });
    add("heartbeat", [](WorkerPart& part) -> auto& { return part.shown.vitals.heartbeat; });
    add("beat_interval", [](WorkerPart& part) -> auto& { return part.shown.vitals.beat_interval; });
    add("begun", [](WorkerPart& part) -> auto& { return part.shown.vitals.begun; });
    add("ended", [](WorkerPart& part) -> auto& { return part.shown.vitals.ended; });
    add("responses", [](WorkerPart& part) -> auto& { return part.shown.vitals.responses[1]; });
    add("taken", [](WorkerPart& part) -> auto& { return part.cells[0].taken; });
    add("cell.accepted", [](WorkerPart& part) -> auto& { return part.cells[0].accepted; });
    add("wanted", [](WorkerPart& part) -> auto& { return part.cells[0].wanted; });
    add("counter.added", [](WorkerPart& part) -> auto& { return part.shown.counters[0].added; });
    add("counter.set_to", [](WorkerPart& part) -> auto& { return part.shown.counters[0].set_to; });
    add("counter.set_at", [](WorkerPart& part) -> auto& { return part.shown.counters[0].set_at; });
    add("counter.state", [](WorkerPart& part) -> auto& { return part.shown.counters[0].state; });
    const auto name_all = [](WorkerPart& part, char letter) {
        for (auto& counter : part.shown.counters) {
            counter.state.store(NamedCounter::named);
            counter.name.fill(letter);
            counter.added.store(1);
        }
    };
    all["names without an end"] = [name_all](WorkerPart& part) { name_all(part, 'a'); };
    all["names of control characters"] = [name_all](WorkerPart& part) { name_all(part, '\x1b'); };
    all["as many names as there is room for"] = [](WorkerPart& part) {
        for (std::size_t i = 0; i != part.shown.counters.size(); ++i)
            part.shown.counters[i].give(to_counter_name("lie_" + std::to_string(i)));
    };
    for (const int byte : {0x00, 0x01, 0x7f, 0x80, 0xff})
        all["every byte " + std::to_string(byte)] = [byte](WorkerPart& part) {
            std::memset(static_cast<void*>(&part), byte, sizeof part);
        };
    return all;
}

const cohort::Totals::Count* find_count(const cohort::Totals& totals, std::string_view name) {
    for (const auto& count : totals.counts)
        if (count.name == name) return &count;
    return nullptr;
}

/// What is right whatever a worker claims, beside one that has begun 10 requests, ended 9 and counted 4 hits.
void check_sums(const SharedPage& page) {
    const auto begin = std::chrono::steady_clock::now();
    const cohort::Totals totals = page.totals();
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5)); // 40 ms by a busy debugging build
    CHECK(totals.requests >= 10);
    CHECK(totals.requests <= 10 + WorkerCell::most_counted);
    CHECK(totals.answered >= 9);
    CHECK(totals.answered <= totals.requests - 1);
    CHECK(totals.accepted <= 6 + WorkerCell::most_counted);
    CHECK(totals.open >= 2);
    CHECK(totals.open <= 2 + WorkerCell::most_open);
    CHECK(totals.counts.size() <= 2 * SharedPage::counters);
    for (const auto& count : totals.counts) CHECK(is_counter_name(count.name));
    const auto* const hits = find_count(totals, "honest_hits");
    REQUIRE(hits != nullptr);
    CHECK(hits->value == 4);
}

} // namespace

TEST_CASE("whatever a worker writes to its part, the figures of others stay, and reading ends") {
    for (const auto& [name, lie] : lies()) {
        CAPTURE(name);
        SharedPage page;
        const auto honest = page.acquire_worker(1);
        const auto liar = page.acquire_worker(2, 1);
        page.worker(honest).begun.store(10);
        page.worker(honest).ended.store(9);
        page.worker(honest).accepted.store(6);
        page.worker(honest).open.store(2);
        const int end = in_worker(page, honest, [&] {
            page.counter("honest_hits").add(4);
            return 0;
        });
        CHECK(end == 0);
        lie(page.part(liar));
        check_sums(page);
        CHECK(page.totals().workers == 2);
        page.release_worker(liar);
        check_sums(page);
        CHECK(page.totals().workers == 1);
        CHECK(page.worker(honest).begun.load() == 10);
    }
}

TEST_CASE("a worker that gives hundreds of names again and again leaves others theirs") {
    SharedPage page;
    for (cohort::WorkerId id = 1; id != 10; ++id) {
        const auto liar = page.acquire_worker(id, 0);
        auto& table = page.part(liar).shown;
        for (std::size_t i = 0; i != table.counters.size(); ++i)
            table.counters[i].give(to_counter_name("lie_" + std::to_string(id) + "_" + std::to_string(i)));
        page.release_worker(liar);
    }
    CHECK(page.totals().counts.size() <= SharedPage::counters);
    const auto honest = page.acquire_worker(20, 1);
    auto& table = page.part(honest).shown;
    table.counters[0].give(to_counter_name("honest_hits"));
    table.counters[0].added.store(4);
    page.release_worker(honest);
    CHECK(find_count(page.totals(), "honest_hits")->value == 4);
    page.counter("masters").add(1);
    CHECK(find_count(page.totals(), "masters")->value == 1);
}

namespace {

/// What a process maps, from its own /proc/self/maps.
struct Mapped {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    bool is_writable = false;
};

std::vector<Mapped> mapped_parts() {
    std::vector<Mapped> parts;
    std::FILE* const file = std::fopen("/proc/self/maps", "re");
    char line[512];
    while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
        if (std::strstr(line, "/memfd:cohort") == nullptr) continue;
        unsigned long from = 0;
        unsigned long to = 0;
        char rights[8] = {};
        if (std::sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3) parts.push_back({from, to, rights[1] == 'w'});
    }
    if (file != nullptr) std::fclose(file);
    return parts;
}

} // namespace

TEST_CASE("a worker can write to its own part and to nothing else of the page, whatever it tries") {
    SharedPage page;
    const auto first = page.acquire_worker(1);
    const auto own = page.acquire_worker(2);
    page.worker(first).begun.store(5);
    const int end = in_worker(page, own, [&] {
        std::size_t writable = 0;
        for (const Mapped& each : mapped_parts()) {
            if (each.is_writable) {
                writable += each.to - each.from;
                continue;
            }
            void* const base = reinterpret_cast<void*>(each.from);
            const std::size_t size = each.to - each.from;
            if (::mprotect(base, size, PROT_READ | PROT_WRITE) == 0) return 1;
            if (::madvise(base, size, MADV_REMOVE) == 0) return 2;
            const int memory = ::open("/proc/self/mem", O_RDWR | O_CLOEXEC);
            if (memory >= 0 && ::pwrite(memory, "x", 1, static_cast<off_t>(each.from)) == 1) return 3;
            ::close(memory);
        }
        if (writable != sizeof(WorkerPart)) return 4;
        page.worker(own).begun.store(1);
        for (int fd = 0; fd != 1024; ++fd) { // whatever it was left with
            void* const base = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (base != MAP_FAILED) ::munmap(base, 4096);
        }
        return 0;
    });
    CHECK(end == 0);
    CHECK(page.totals().requests == 6);

    for (const bool masters : {false, true}) {
        const auto other = page.acquire_worker(masters ? 3 : 4);
        const int fate = in_worker(page, other, [&] {
            const auto parts = mapped_parts();
            for (const Mapped& each : parts) {
                const bool is_masters = each.to - each.from == sizeof(MasterPart);
                if (each.is_writable || is_masters != masters) continue;
                ::signal(SIGSEGV, SIG_DFL);
                *reinterpret_cast<volatile char*>(each.from) = 1;
            }
            return 0;
        });
        CHECK(fate == -SIGSEGV);
    }
    CHECK(page.totals().requests == 6);
}

TEST_CASE("a program started anew cannot write to what it is shown") {
    SharedPage master;
    Anew first(master, 1);
    CHECK(master.sealed(first.part) != nullptr);
    const int memory = master.descriptor(first.part);
    CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) == MAP_FAILED);
    const auto second = master.acquire_worker(2, 0, true);
    CHECK(master.sealed(second) == nullptr); // until its program has mapped it
}

TEST_CASE("no two counters become one for whom reads them") {
    SharedPage page;
    page.counter("hits_total").add(1);
    page.counter("temperature").add(2);
    page.counter("_total").add(3);
    for (const char* bad : {"hits", "temperature_total", "cohort_workers", "cohort_requests_total", "cohort_mine"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(page.counter(bad), std::invalid_argument);
    }
    Anew worker(page, 1);
    CHECK_THROWS_AS(worker.page.counter("hits"), std::invalid_argument);
    // But no worker takes a name from the others.
    worker.page.counter("load");
    Anew other(page, 2);
    CHECK_NOTHROW(other.page.counter("load_total"));
    CHECK_NOTHROW(page.counter("load_total"));
    for (const char* good :
         {"hits_total", "hits_total_total_", "hits_", "hit", "Hits", "total", "cohort", "my_cohort_x"}) {
        CAPTURE(good);
        CHECK_NOTHROW(page.counter(good));
    }
    CHECK(page.counter("hits_total").value() == 1);
    CHECK(page.totals().counts.size() == 12);
}

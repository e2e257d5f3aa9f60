// SPDX-License-Identifier: MIT
// A worker that writes whatever it can, wherever it can, to the shared page: its master and the other workers go on.
// COHORT_HOSTILE_ACTIONS sets how many times it writes; there are few by default.
#include <cohort/master.hpp>
#include <cohort/mode/least_connections.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <cohort/detail/control/shared_parts.hpp>
#include <cohort/detail/supervise/resident_memory.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

using namespace test;

namespace {

using Clock = std::chrono::steady_clock;
using MilliSeconds = std::chrono::duration<double, std::milli>;

std::atomic<int>& thousands_stored = make_shared_number(); // how many times it has written

int wanted_thousands() {
    const char* const text = std::getenv("COHORT_HOSTILE_ACTIONS");
    return text == nullptr ? 100 : static_cast<int>(std::strtol(text, nullptr, 10) / 1000);
}

constexpr int thousands_of_one = 1'000; // a test has a deadline
int thousands = 0;                      // of the cluster that is there; set before the fork

// The hostile worker

/// What a process can write to of all that is shared, from its /proc/self/maps.
std::vector<std::span<std::byte>> writable_pages() {
    std::vector<std::span<std::byte>> pages;
    std::FILE* const file = std::fopen("/proc/self/maps", "re");
    char line[512];
    while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
        std::uintptr_t from = 0;
        std::uintptr_t to = 0;
        char rights[8] = {};
        const bool is_read = std::sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3;
        const char* const name = std::strstr(line, "/memfd:cohort");
        if (!is_read || name == nullptr || std::strncmp(name + 13, " ", 1) != 0) continue;
        if (rights[1] != 'w') // it tries
            ::mprotect(reinterpret_cast<void*>(from), to - from, PROT_READ | PROT_WRITE);
        else
            pages.emplace_back(reinterpret_cast<std::byte*>(from), to - from);
    }
    if (file != nullptr) std::fclose(file);
    return pages;
}

/// One value at one place: often where something is known to lie, otherwise anywhere.
class Scribbler {
public:
    explicit Scribbler(unsigned seed) : random_(seed) {}

    void write() {
        const auto page = pages_[random_() % pages_.size()];
        const std::size_t nearby = std::min<std::size_t>(page.size(), 1024);
        const std::size_t place = random_() % (random_() % 4 == 0 ? page.size() : nearby) / 8 * 8;
        std::uint64_t value = values[random_() % std::size(values)];
        if (random_() % 4 == 0) value = random_();
        const std::size_t width = std::size_t{1} << random_() % 4;
        auto* const at = reinterpret_cast<volatile unsigned char*>(page.data() + place);
        for (std::size_t i = 0; i != width; ++i) at[i] = static_cast<unsigned char>(value >> (i * 8));
    }

private:
    static constexpr std::uint64_t values[] = {0,
                                               1,
                                               2, // NamedCounter::named
                                               3,
                                               0x7f,
                                               0xff,
                                               0x6161616161616161, // names without an end
                                               0x7fffffff,
                                               0xffffffff,
                                               0x100000000,
                                               std::uint64_t{1} << 63,
                                               ~std::uint64_t{0} - 1,
                                               ~std::uint64_t{0}};

    std::mt19937_64 random_;
    std::vector<std::span<std::byte>> pages_ = writable_pages();
};

void scribble_all() {
    Scribbler scribbler(static_cast<unsigned>(::getpid()));
    while (thousands_stored.load() < thousands) {
        for (int i = 0; i != 1'000; ++i) scribbler.write();
        thousands_stored.fetch_add(1);
        std::this_thread::sleep_for(std::chrono::milliseconds(1)); // the others are to see it all
    }
}

/// Takes none of the connections that it is given. Its own library may well despair of what it reads.
Task<> scribble(WorkerBase& self) {
    const auto listener = co_await self.listen(any_port());
    std::thread(scribble_all).detach();
    co_await self.until_stopping();
}

// The others

Task<> answer_lines(WorkerBase& self, Socket socket) {
    auto hits = self.counter("honest_lines");
    std::error_code error;
    for (std::string text;;) {
        const std::size_t size = co_await asio::async_read_until(socket, asio::dynamic_buffer(text), '\n',
                                                                 asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        text.erase(0, size);
        const auto request = self.begin_request();
        hits.add();
        const auto begin = Clock::now();
        const Totals totals = self.totals();
        const auto lasted = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
        const std::string reply =
            std::to_string(self.id()) + " " + std::to_string(totals.workers) + " " + std::to_string(lasted) + "\n";
        co_await asio::async_write(socket, asio::buffer(reply), asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
    }
}

Task<> honest(WorkerBase& self) {
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept()) spawn(self.context(), answer_lines(self, std::move(*socket)));
}

// The master, and clients beside it

struct Measured {
    std::vector<double> replies; // milliseconds
    double longest_totals = 0;   // of the master, and of a worker
    double longest_workers_totals = 0;
    std::uint64_t memory = 0; // that the master got in addition
    std::size_t descriptors = 0;
    std::size_t newcomers = 0; // connections beside the attack, and how many of them were answered
    std::size_t answered = 0;

    double percentile(double part) {
        std::ranges::sort(replies);
        return replies[static_cast<std::size_t>(part * static_cast<double>(replies.size() - 1))];
    }
};

std::uint64_t own_memory() { return detail::resident_memory(::getpid()).value_or(0); }

/// `lines` were answered, and so were some of `more`.
void check_figures(MasterBase& app, std::uint64_t lines, std::uint64_t more, Measured& measured) {
    const auto begin = Clock::now();
    const Totals totals = app.totals();
    const Stats stats = app.stats();
    const auto counted = static_cast<std::uint64_t>(app.counter("honest_lines").value());
    measured.longest_totals = std::max(measured.longest_totals, MilliSeconds(Clock::now() - begin).count());
    CHECK(totals.workers >= 2);
    CHECK(totals.workers <= 4);
    CHECK(totals.requests >= lines);
    CHECK(totals.answered <= totals.requests);
    CHECK(totals.counts.size() < 1'000);
    for (const auto& count : totals.counts) CHECK(detail::is_counter_name(count.name));
    CHECK(counted >= lines);
    CHECK(counted <= lines + more);
    REQUIRE(stats.slots.size() == 3);
    CHECK(stats.slots[0].requests + stats.slots[1].requests >= lines);
    CHECK(stats.slots[0].requests + stats.slots[1].requests <= lines + more);
    CHECK(stats.slots[0].worker == 1U);
    CHECK(stats.slots[1].worker == 2U);
}

Task<> ask_once(Client& client, Measured& measured, std::uint64_t& lines) {
    const auto begin = Clock::now();
    client.write("line\n");
    const std::string reply = co_await client.read_line();
    ++lines;
    measured.replies.push_back(MilliSeconds(Clock::now() - begin).count());
    const double lasted = std::stod(reply.substr(reply.rfind(' '))) / 1000;
    measured.longest_workers_totals = std::max(measured.longest_workers_totals, lasted);
}

/// Whether somebody has answered what was written when it connected, once the worker that is hostile has gone.
Task<bool> is_answered(Client& client) {
    std::string reply;
    try {
        reply = co_await client.read_line();
    } catch (const std::system_error&) { // it was that worker's
    }
    co_return !reply.empty();
}

void say(Measured& measured) {
    if (std::getenv("COHORT_HOSTILE_ACTIONS") == nullptr) return;
    std::printf("%d000 writes: %zu replies, 50%% within %.2f ms, 99%% within %.2f ms, longest %.2f ms; totals() of the "
                "master within %.2f ms, of a worker within %.2f ms; %zu of %zu new connections answered; the master "
                "got %.1f MB and %zu descriptors more\n",
                wanted_thousands(), measured.replies.size(), measured.percentile(0.5), measured.percentile(0.99),
                measured.percentile(1), measured.longest_totals, measured.longest_workers_totals, measured.answered,
                measured.newcomers, static_cast<double>(measured.memory) / 1e6, measured.descriptors);
}

Measured all; // of one test

template <class A>
Task<> be_attacked(A& app) {
    thousands_stored = 0;
    Measured before;
    std::uint64_t lines = 0;
    for (int i = 0; i != 2; ++i) app.spawn(honest);
    const std::uint16_t port = co_await served_port(app, 2);
    std::vector<Client> clients;
    for (int i = 0; i != 4; ++i) {
        clients.emplace_back(app.context(), port);
        co_await ask_once(clients.back(), before, lines);
    }
    const WorkerId hostile = app.spawn(scribble);
    co_await served_port(app);
    const std::uint64_t memory = own_memory();
    const std::size_t descriptors = open_descriptors().size();

    std::vector<Client> newcomers;
    for (std::size_t round = 0; thousands_stored.load() < thousands; ++round) {
        Client& client = clients[round % clients.size()];
        co_await ask_once(client, all, lines);
        if (round % 8 == 0) check_figures(app, lines, newcomers.size(), all);
        if (round % 16 != 0 || newcomers.size() == 100) continue;
        newcomers.emplace_back(app.context(), port);
        newcomers.back().write("line\n");
    }
    all.memory = std::max(all.memory, std::max(own_memory(), memory) - memory);
    all.descriptors = std::max(all.descriptors, open_descriptors().size() - descriptors);
    const auto workers = app.workers();
    CHECK(std::ranges::count_if(workers, [](const auto& worker) { return worker.id <= 2; }) == 2);
    for (const auto& worker : workers)
        if (worker.id >= hostile) app.kill(worker.id, SIGKILL);
    all.newcomers += newcomers.size();
    for (Client& client : newcomers) {
        const bool is = co_await is_answered(client);
        all.answered += is ? 1U : 0U;
    }
}

Options options_of_attacked() {
    Options options = permanent_options();
    options.backoff.at_once = 1'000'000;
    options.backoff.failed_starts = 1'000'000;
    return options;
}

} // namespace

using LeastApp = Master<Note, LeastConnections>;

TEST_CASE_TEMPLATE(
    "while a worker scribbles over all that it can write to, the others serve and their figures are right", A, App,
    SharedApp, LeastApp) {
    all = {};
    for (int left = wanted_thousands(); left > 0; left -= thousands) {
        thousands = std::min(left, thousands_of_one);
        in_master<A>(options_of_attacked(), be_attacked<A>);
    }
    say(all);
    CHECK(all.answered * 2 >= all.newcomers);
    CHECK(all.percentile(0.99) < 500); // milliseconds, on a machine that has other things to do
    CHECK(all.memory < 16'000'000);
    CHECK(all.descriptors < 100 + 64); // its own ends of connections, and copies for that worker
}

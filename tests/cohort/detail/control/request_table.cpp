// SPDX-License-Identifier: MIT
#include <cohort/detail/control/request_table.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace cohort::detail;

namespace {

struct Table {
    std::unique_ptr<RequestTable> table = std::make_unique<RequestTable>();

    RequestCell* begin(std::string_view method, std::string_view target = {}, std::string_view client = {}) {
        return table->begin({.method = method, .target = target, .client = client, .socket = 7}, 42);
    }
};

} // namespace

TEST_CASE("a request that has begun can be read until it ends") {
    Table one;
    CHECK(one.table->used() == 0);
    RequestCell* const cell = one.begin("GET", "/users/7", "192.0.2.1");
    REQUIRE(cell != nullptr);
    const auto seen = cell->read();
    REQUIRE(seen);
    CHECK(seen->begun == 42);
    CHECK(seen->socket == 7);
    CHECK(std::string(seen->what.data()) == "GET /users/7");
    CHECK(std::string(seen->client.data()) == "192.0.2.1");
    one.table->end(*cell);
    CHECK_FALSE(cell->read());
    CHECK(one.table->used() == 1);
}

TEST_CASE("what is told of a request fits, and is no secret") {
    struct Row {
        std::string method, target, told;
    };
    const std::string long_one(200, 'x');
    const Row rows[] = {
        {"", "", ""},
        {"GET", "", "GET"},
        {"", "/a", "/a"},
        {"GET", "/a?token=secret", "GET /a"},
        {"GET", "?", "GET "},
        {"POST", "/123", "POST /123"}, // one word is full, and the next has only the zero
        {"PUT", "/123", "PUT /123"},
        {"GET", "/" + long_one, "GET /" + std::string(67, 'x')},
        {long_one, "/a", std::string(72, 'x')},
    };
    Table one;
    for (const Row& row : rows) {
        CAPTURE(row.told);
        for (const std::string& before : {std::string(72, 'o'), std::string()}) { // of what was there nothing is left
            RequestCell* cell = one.begin(before, {}, std::string(40, 'o'));
            one.table->end(*cell);
            cell = one.begin(row.method, row.target);
            CHECK(std::string(cell->read()->what.data()) == row.told);
            CHECK(std::string(cell->read()->client.data()).empty());
            one.table->end(*cell);
        }
    }
    CHECK(one.table->used() == 1);
}

TEST_CASE("a full table takes no more, and a place that is given back is taken again") {
    Table one;
    std::set<RequestCell*> cells;
    for (std::uint32_t i = 0; i != RequestTable::size; ++i) cells.insert(one.begin("GET"));
    CHECK(cells.size() == RequestTable::size);
    CHECK_FALSE(cells.contains(nullptr));
    for (int i = 0; i != 3; ++i) CHECK(one.begin("GET") == nullptr);
    CHECK(one.table->used() == RequestTable::size);
    std::vector<RequestCell*> ended;
    for (auto cell = cells.begin(); ended.size() != 10; ++cell) ended.push_back(*cell);
    for (RequestCell* const cell : ended) one.table->end(*cell);
    for (std::size_t i = 0; i != ended.size(); ++i) CHECK(one.begin("GET") == ended[ended.size() - 1 - i]);
    CHECK(one.begin("GET") == nullptr);
}

TEST_CASE("several threads begin and end requests, and no two have one place") {
    Table one;
    std::atomic<int> wrong = 0;
    const auto work = [&](const std::string& name) {
        for (int round = 0; round != 2'000; ++round) {
            std::vector<RequestCell*> mine;
            for (int i = 0; i != 8; ++i) mine.push_back(one.begin(name));
            for (RequestCell* const cell : mine) {
                const auto seen = cell->read();
                if (!seen || name != seen->what.data()) ++wrong;
                one.table->end(*cell);
            }
        }
    };
    std::vector<std::jthread> threads;
    for (const char* const name : {"one", "two", "three", "four"}) threads.emplace_back(work, std::string(name));
    threads.clear();
    CHECK(wrong == 0);
    CHECK(one.table->used() <= 4 * 8);
}

/// Its worker may write anything there.
TEST_CASE("whatever a worker has written, what is read of it ends") {
    Table one;
    RequestCell* const cell = one.begin("GET");
    for (auto& word : cell->what) word = ~std::uint64_t{0};
    for (auto& word : cell->client) word = ~std::uint64_t{0};
    cell->socket = -1'000'000;
    const auto seen = cell->read();
    REQUIRE(seen);
    CHECK(std::string(seen->what.data()).size() == 72);
    CHECK(std::string(seen->client.data()).size() == 40);
    one.table->touched = ~std::uint32_t{0};
    CHECK(one.table->used() == RequestTable::size);
}

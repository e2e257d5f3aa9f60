// SPDX-License-Identifier: MIT
#include <cohort/detail/serialize/buffer.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace {

using cohort::detail::Buffer;

std::string_view text_of(const Buffer& buffer) { return {reinterpret_cast<const char*>(buffer.data()), buffer.size()}; }

void append(Buffer& buffer, std::string_view text) { buffer.append(text.data(), text.size()); }

TEST_CASE("a buffer gives back what was put in, in order") {
    Buffer buffer;
    CHECK(buffer.empty());
    append(buffer, "hello ");
    append(buffer, "world");
    CHECK(text_of(buffer) == "hello world");
    buffer.consume(6);
    CHECK(text_of(buffer) == "world");
    buffer.truncate(2);
    CHECK(text_of(buffer) == "wo");
    buffer.consume(2);
    CHECK(buffer.empty());
}

TEST_CASE("what is prepared and committed is appended") {
    Buffer buffer;
    append(buffer, "a");
    std::byte* const room = buffer.prepare(1000);
    CHECK(buffer.room() >= 1000);
    for (std::size_t i = 0; i != 1000; ++i) room[i] = std::byte{'b'};
    buffer.commit(1000);
    CHECK(text_of(buffer) == "a" + std::string(1000, 'b'));
}

TEST_CASE("a queue that is filled and drained for long does not grow") {
    Buffer buffer;
    for (int i = 0; i != 10'000; ++i) {
        append(buffer, std::string(100, 'x'));
        if (i > 0) buffer.consume(100);
    }
    CHECK(buffer.size() == 100);
    CHECK(buffer.capacity() <= 1024);
}

TEST_CASE("any mix of appending and consuming keeps the order of the bytes") {
    std::mt19937 random{7};
    Buffer buffer;
    std::string model;
    for (int i = 0; i != 5'000; ++i) {
        const std::string text(random() % 300, static_cast<char>('a' + random() % 26));
        append(buffer, text);
        model += text;
        const std::size_t taken = random() % (model.size() + 1);
        buffer.consume(taken);
        model.erase(0, taken);
        REQUIRE(text_of(buffer) == model);
    }
}

TEST_CASE("a buffer that was moved from is empty and can be used again") {
    Buffer first;
    append(first, "first");
    Buffer second{std::move(first)};
    CHECK(text_of(second) == "first");
    CHECK(first.empty());
    CHECK(first.capacity() == 0);
    append(first, "again");
    CHECK(text_of(first) == "again");
    second = std::move(first);
    CHECK(text_of(second) == "again");
    CHECK(first.empty());
    append(first, "thrice");
    CHECK(text_of(first) == "thrice");
}

TEST_CASE("more than there can be is refused and changes nothing") {
    Buffer buffer;
    append(buffer, "kept");
    CHECK_THROWS_AS(buffer.prepare(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
    CHECK_THROWS_AS(buffer.prepare(std::numeric_limits<std::size_t>::max() / 2), std::bad_alloc);
    CHECK(text_of(buffer) == "kept");
}

TEST_CASE("memory is given back when the buffer is empty and large") {
    Buffer buffer;
    append(buffer, std::string(5000, 'x'));
    buffer.shrink(1000);
    CHECK(buffer.size() == 5000);
    buffer.clear();
    buffer.shrink(100'000);
    CHECK(buffer.capacity() >= 5000);
    buffer.shrink(1000);
    CHECK(buffer.capacity() == 0);
}

TEST_CASE("memory is given back when little of it is needed still, and the bytes stay") {
    Buffer buffer;
    append(buffer, std::string(5000, 'x') + "the rest");
    buffer.fit(1024);
    CHECK(buffer.capacity() >= 5008);
    buffer.consume(5000);
    buffer.fit(100'000);
    CHECK(buffer.capacity() >= 5008);
    buffer.fit(1024);
    CHECK(buffer.capacity() <= 1024);
    CHECK(text_of(buffer) == "the rest");
    append(buffer, " and more");
    CHECK(text_of(buffer) == "the rest and more");
    buffer.clear();
    buffer.fit(0);
    CHECK(buffer.capacity() == 0);
}

} // namespace

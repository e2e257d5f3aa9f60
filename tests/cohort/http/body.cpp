// SPDX-License-Identifier: MIT
// Reading a body to its end.
#include <cohort/http/body.hpp>

#include "support/handling.hpp"
#include "support/run_for.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace cohort;

namespace {

Task<> read_twice(http::Body body, std::string& text) {
    text = co_await body.text();
    const auto more = co_await body.read();
    text += more ? " more" : " end";
}

std::string run_reading(http::Body body) {
    std::string text;
    test::complete(read_twice(body, text));
    return text;
}

Task<> read_bytes(http::Body body, std::vector<std::byte>& bytes, std::uint64_t limit) {
    bytes = co_await body.bytes(limit);
}
Task<> read_text(http::Body body, std::uint64_t limit) {
    const std::string text = co_await body.text(limit);
    CHECK(text.size() <= limit);
}

} // namespace

TEST_CASE("a body is read to its end, and then there is nothing more") {
    test::Chunks chunks({"one ", "two ", "three"});
    CHECK(run_reading(http::Body(&chunks)) == "one two three end");
    CHECK(run_reading(http::Body()) == " end");
}

TEST_CASE("a body that is longer than the handler wants it is refused") {
    std::vector<std::byte> bytes;
    test::Chunks chunks({std::string("a\0b", 3), "\xff"});
    test::complete(read_bytes(http::Body(&chunks), bytes, 4));
    CHECK(bytes == std::vector<std::byte>{std::byte{'a'}, std::byte{0}, std::byte{'b'}, std::byte{0xff}});
    for (const std::uint64_t limit : {0U, 2U, 5U, 6U, 7U}) {
        CAPTURE(limit);
        test::Chunks more({"one", "two"});
        int status = 0;
        try {
            test::complete(read_text(http::Body(&more), limit));
        } catch (const http::Error& error) {
            status = error.status();
        }
        CHECK(status == (limit < 6 ? 413 : 0));
    }
}

namespace {

Task<> wait_in_vain(const http::Request& request) {
    std::string text;
    test::StringSink sink(text);
    http::BodyWriter writer(sink);
    writer.end_at_drain();
    const std::size_t of_body = co_await test::either(writer.until_draining(), test::yield());
    const std::size_t of_request = co_await test::either(request.until_draining(), test::yield());
    CHECK(of_body == 1);
    CHECK(of_request == 1);
    CHECK_FALSE(writer.draining());
    CHECK_FALSE(request.draining());
}

} // namespace

TEST_CASE("outside of a server nothing drains, and waiting for it can be given up") {
    const test::ParsedRequest parsed("GET", "/");
    test::complete(wait_in_vain(*parsed));
}

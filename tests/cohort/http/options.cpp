// SPDX-License-Identifier: MIT
// The options of a server.
#include <cohort/http/options.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace cohort;

TEST_CASE("a server's options have the documented defaults, and each can be chosen by name") {
    using namespace std::chrono_literals;
    const http::ServerOptions options{};
    CHECK(options.head_timeout == 10s);
    CHECK(options.body_timeout == 10s);
    CHECK(options.write_timeout == 30s);
    CHECK(options.idle_timeout == 65s);
    CHECK(options.linger_timeout == 5s);
    CHECK(options.linger_time == 30s);
    CHECK(options.linger_bytes == 1 << 30);
    CHECK(options.unread_bytes == 256 * 1024);
    CHECK(options.body_rate != 0);
    CHECK(options.max_requests == 0);
    const http::ServerOptions chosen{.idle_timeout = 5ms, .max_requests = 3};
    CHECK(chosen.idle_timeout == 5ms);
    CHECK(chosen.max_requests == 3);
    CHECK(chosen.head_timeout == options.head_timeout);
}

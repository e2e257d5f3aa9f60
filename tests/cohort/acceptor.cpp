// SPDX-License-Identifier: MIT
#include <cohort/acceptor.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/spawn.hpp>

#include <cstddef>
#include <optional>

using cohort::Socket;
using cohort::Task;

namespace {

/// A listener without a network: it has `left` connections to give.
struct Scripted {
    asio::io_context& io;
    int left = 0;

    Task<std::optional<Socket>> accept() {
        if (left == 0) co_return std::nullopt;
        --left;
        co_return Socket(io);
    }
};

struct AcceptsNothing {};
struct AcceptsAtOnce {
    std::optional<Socket> accept();
};

static_assert(cohort::Acceptor<Scripted>);
static_assert(!cohort::Acceptor<AcceptsNothing>);
static_assert(!cohort::Acceptor<AcceptsAtOnce>, "accept() must be awaitable");

template <cohort::Acceptor A>
Task<> count(A& acceptor, std::size_t& connections) {
    for (;;) {
        auto socket = co_await acceptor.accept();
        if (!socket) break;
        ++connections;
    }
}

} // namespace

TEST_CASE("a loop over accept() ends when the acceptor has no more") {
    asio::io_context io;
    Scripted acceptor{io, 3};
    std::size_t connections = 0;
    test::spawn(io, count(acceptor, connections));
    io.run();
    CHECK(connections == 3);
}

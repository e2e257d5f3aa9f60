// SPDX-License-Identifier: MIT
// A master's and some workers' ends of control links in one process, and connections to hand over.
#pragma once

#include <cohort/detail/control/links.hpp>
#include <cohort/mode.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace test {

/// A connection: one end to hand over, the other to see what becomes of it.
struct Connection {
    cohort::detail::UniqueFd server;
    cohort::detail::UniqueFd client;

    Connection();

    /// Whether a copy of the server's end is left anywhere. Nothing is ever sent by a server here.
    static bool is_alive(int client);
};

/// A worker, seen from the master, and its own end of the link.
struct FakeWorker {
    FakeWorker(const asio::any_io_executor& executor, cohort::WorkerId id, unsigned slot = 0);

    /// The next message of this kind that has come; others before it are an error.
    template <class Message>
    std::optional<std::pair<Message, std::vector<cohort::detail::UniqueFd>>> next() {
        auto packet = link->try_receive();
        if (!packet) return std::nullopt;
        REQUIRE(packet->template holds<Message>());
        return std::pair(packet->template read<Message>(), std::move(packet->descriptors));
    }

    cohort::DispatchTarget target;
    std::shared_ptr<cohort::detail::WorkerLink> link;
};

} // namespace test

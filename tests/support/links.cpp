// SPDX-License-Identifier: MIT
#include "links.hpp"

#include <cohort/detail/system/fd_passing.hpp>

#include <tuple>

#include <sys/socket.h>

namespace test {

Connection::Connection() { std::tie(server, client) = cohort::detail::make_socketpair(SOCK_STREAM); }

bool Connection::is_alive(int client) {
    char byte = 0;
    return ::recv(client, &byte, 1, MSG_DONTWAIT) != 0;
}

FakeWorker::FakeWorker(const asio::any_io_executor& executor, cohort::WorkerId id, unsigned slot) {
    auto [masters, workers] = cohort::detail::make_socketpair(SOCK_SEQPACKET);
    target.id = id;
    target.slot = slot;
    target.link = std::make_shared<cohort::detail::MasterLink>(executor, std::move(masters));
    link = std::make_shared<cohort::detail::WorkerLink>(executor, std::move(workers));
}

} // namespace test

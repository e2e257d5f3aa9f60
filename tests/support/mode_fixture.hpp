// SPDX-License-Identifier: MIT
// A mode without processes: its dispatcher, and workers that are intakes.
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/control/connection_count.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/socket_address.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/links.hpp>
#include <support/run_for.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include <fcntl.h>

namespace test {

inline cohort::detail::UniqueFd copy_of(int descriptor) {
    return cohort::detail::UniqueFd(descriptor < 0 ? -1 : ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
}

inline cohort::Task<> accept_all(std::shared_ptr<cohort::Intake> intake, std::deque<cohort::Socket>& sockets,
                                 bool& ended) {
    for (;;) {
        auto socket = co_await intake->accept();
        if (!socket) break;
        sockets.push_back(std::move(*socket));
    }
    ended = true;
}

inline std::vector<cohort::detail::TransferredConnection> passages(std::vector<cohort::detail::UniqueFd> connections) {
    std::vector<cohort::detail::TransferredConnection> result;
    for (auto& connection : connections) result.emplace_back(std::move(connection));
    return result;
}

/// The dispatcher and the intakes of a mode face to face, in one process.
template <class M>
struct ModeFixture {
    struct Worker : FakeWorker {
        Worker(const asio::any_io_executor& executor, cohort::WorkerId id, unsigned slot,
               cohort::detail::SharedPage& page)
            : FakeWorker(executor, id, slot),
              connection_count(page.worker(page.acquire_worker()), [this] { look_again(); }) {
            target.cell = id - 1;
        }
        void look_again() {
            if (intake) intake->look_again();
        }
        cohort::detail::ConnectionCount connection_count;
        cohort::Grant grant;
        std::shared_ptr<cohort::Intake> intake;
        std::deque<cohort::Socket> sockets;
        bool ended = false;
    };

    ~ModeFixture() {
        for (auto& worker : workers) {
            if (worker.intake) worker.intake->close();
            worker.link->close();
            worker.target.link->close();
        }
        settle(io);
    }
    Worker& add(unsigned slot) {
        return workers.emplace_back(io.get_executor(), static_cast<cohort::WorkerId>(workers.size() + 1), slot, page);
    }
    void open(Worker& worker, const cohort::Endpoint& endpoint) {
        worker.grant = dispatcher.open(worker.target, endpoint);
        if (worker.grant.error) return;
        worker.intake = M::make_intake(cohort::IntakeContext{io.get_executor(), worker.link, worker.grant.listener,
                                                             page[worker.grant.listener], worker.connection_count,
                                                             worker.grant.endpoint, copy_of(worker.grant.descriptor)});
    }
    void listen(Worker& worker, const cohort::Endpoint& endpoint) {
        open(worker, endpoint);
        if (worker.intake) start(io, accept_all(worker.intake, worker.sockets, worker.ended));
    }
    void run_until(const std::function<bool()>& done) {
        test::run_until(io, [&] {
            for (auto& worker : workers)
                while (auto packet = worker.link->try_receive())
                    if (packet->template holds<cohort::detail::Connections>()) {
                        const auto some = packet->template read<cohort::detail::Connections>();
                        worker.intake->deliver(some.first, some.count, passages(std::move(packet->descriptors)));
                    }
            for (auto& worker : workers)
                while (auto packet = worker.target.link->try_receive())
                    if (packet->template holds<cohort::detail::ReturnedConnection>()) {
                        const auto some = packet->template read<cohort::detail::ReturnedConnection>();
                        for (auto& connection : packet->descriptors)
                            dispatcher.give(some.endpoint, std::move(connection));
                    }
            return done();
        });
    }
    int connect(const cohort::Endpoint& endpoint) {
        std::error_code error;
        const auto address = cohort::detail::to_socket_address(endpoint, error);
        auto& client = clients.emplace_back(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        return ::connect(client.get(), address.get(), address.size) == 0 ? 0 : errno;
    }

    asio::io_context io;
    cohort::detail::SharedPage page;
    cohort::detail::Ledger ledger;
    cohort::Options options{.backlog = 100, .credit = 4};
    std::unique_ptr<cohort::Dispatcher> dispatcher_owner =
        M::make_dispatcher({io.get_executor(), page, ledger, options});
    cohort::Dispatcher& dispatcher = *dispatcher_owner;
    std::deque<Worker> workers;
    std::vector<cohort::detail::UniqueFd> clients;
};

} // namespace test

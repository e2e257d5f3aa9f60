// SPDX-License-Identifier: MIT
// A mode without processes: its dispatcher, and workers that are intakes.
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/control/connection_count.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/io_context.hpp>

#include <support/links.hpp>
#include <support/run_for.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace test {

cohort::detail::UniqueFd copy_of(int descriptor);

cohort::Task<> accept_all(std::shared_ptr<cohort::Intake> intake, std::deque<cohort::Socket>& sockets, bool& ended);

/// The part of ModeFixture that is the same for all modes.
struct ModeFixtureBase {
    struct Worker : FakeWorker {
        Worker(const asio::any_io_executor& executor, cohort::WorkerId id, unsigned slot,
               cohort::detail::SharedPage& page);
        void look_again();

        std::uint32_t part;
        cohort::detail::ConnectionCount connection_count;
        cohort::Grant grant;
        std::shared_ptr<cohort::Intake> intake;
        std::deque<cohort::Socket> sockets;
        bool ended = false;
    };
    using MakeDispatcher = std::unique_ptr<cohort::Dispatcher> (*)(const cohort::DispatchContext&);
    using MakeIntake = std::shared_ptr<cohort::Intake> (*)(cohort::IntakeContext);

    ModeFixtureBase(MakeDispatcher make_dispatcher, MakeIntake make_its_intake);
    ModeFixtureBase(const ModeFixtureBase&) = delete;
    ModeFixtureBase& operator=(const ModeFixtureBase&) = delete;
    ~ModeFixtureBase();

    Worker& add(unsigned slot);
    void open(Worker& worker, const cohort::Endpoint& endpoint);
    void listen(Worker& worker, const cohort::Endpoint& endpoint);
    void run_until(const std::function<bool()>& done);
    int connect(const cohort::Endpoint& endpoint);

    MakeIntake make_intake;
    asio::io_context io;
    cohort::detail::SharedPage page;
    cohort::detail::Ledger ledger;
    cohort::Options options{.backlog = 100, .credit = 4};
    std::unique_ptr<cohort::Dispatcher> dispatcher_owner;
    cohort::Dispatcher& dispatcher = *dispatcher_owner;
    std::deque<Worker> workers;
    std::vector<cohort::detail::UniqueFd> clients;
};

/// The dispatcher and the intakes of a mode face to face, in one process.
template <class M>
struct ModeFixture : ModeFixtureBase {
    ModeFixture() : ModeFixtureBase(&M::make_dispatcher, &M::make_intake) {}
};

} // namespace test

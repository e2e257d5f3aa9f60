// SPDX-License-Identifier: MIT
#include "mode_fixture.hpp"

#include <cohort/detail/socket/socket_address.hpp>

#include <cerrno>
#include <deque>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>

namespace test {

namespace {

std::vector<cohort::detail::TransferredConnection> passages(std::vector<cohort::detail::UniqueFd> connections) {
    std::vector<cohort::detail::TransferredConnection> result;
    for (auto& connection : connections) result.emplace_back(std::move(connection));
    return result;
}

} // namespace

cohort::detail::UniqueFd copy_of(int descriptor) {
    return cohort::detail::UniqueFd(descriptor < 0 ? -1 : ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
}

cohort::Task<> accept_all(std::shared_ptr<cohort::Intake> intake, std::deque<cohort::Socket>& sockets, bool& ended) {
    for (;;) {
        auto socket = co_await intake->accept();
        if (!socket) break;
        sockets.push_back(std::move(*socket));
    }
    ended = true;
}

ModeFixtureBase::Worker::Worker(const asio::any_io_executor& executor, cohort::WorkerId id, unsigned slot,
                                cohort::detail::SharedPage& page)
    : FakeWorker(executor, id, slot),
      part(page.acquire_worker(id)),
      connection_count(page.worker(part), page.requests(part), [this] { look_again(); }) {
    target.cell = id - 1;
}

void ModeFixtureBase::Worker::look_again() {
    if (intake) intake->look_again();
}

ModeFixtureBase::ModeFixtureBase(MakeDispatcher make_dispatcher, MakeIntake make_its_intake)
    : make_intake(make_its_intake), dispatcher_owner(make_dispatcher({io.get_executor(), page, ledger, options})) {}

ModeFixtureBase::~ModeFixtureBase() {
    for (auto& worker : workers) {
        if (worker.intake) worker.intake->close();
        worker.link->close();
        worker.target.link->close();
    }
    settle(io);
}

ModeFixtureBase::Worker& ModeFixtureBase::add(unsigned slot) {
    return workers.emplace_back(io.get_executor(), static_cast<cohort::WorkerId>(workers.size() + 1), slot, page);
}

void ModeFixtureBase::open(Worker& worker, const cohort::Endpoint& endpoint) {
    worker.grant = dispatcher.open(worker.target, endpoint);
    if (worker.grant.error) return;
    worker.intake = make_intake(cohort::IntakeContext{
        io.get_executor(), worker.link, worker.grant.listener, page.cell(worker.target.cell, worker.grant.listener),
        worker.connection_count, worker.grant.endpoint, copy_of(worker.grant.descriptor)});
}

void ModeFixtureBase::listen(Worker& worker, const cohort::Endpoint& endpoint) {
    open(worker, endpoint);
    if (worker.intake) start(io, accept_all(worker.intake, worker.sockets, worker.ended));
}

void ModeFixtureBase::run_until(const std::function<bool()>& done) {
    test::run_until(io, [&] {
        for (auto& worker : workers)
            while (auto packet = worker.link->try_receive())
                if (packet->holds<cohort::detail::Connections>()) {
                    const auto some = packet->read<cohort::detail::Connections>();
                    worker.intake->deliver(some.first, some.count, passages(std::move(packet->descriptors)));
                }
        for (auto& worker : workers)
            while (auto packet = worker.target.link->try_receive())
                if (packet->holds<cohort::detail::ReturnedConnection>()) {
                    const auto some = packet->read<cohort::detail::ReturnedConnection>();
                    for (auto& connection : packet->descriptors) dispatcher.give(some.endpoint, std::move(connection));
                }
        return done();
    });
}

int ModeFixtureBase::connect(const cohort::Endpoint& endpoint) {
    std::error_code error;
    const auto address = cohort::detail::to_socket_address(endpoint, error);
    auto& client = clients.emplace_back(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(client.get(), address.get(), address.size) == 0 ? 0 : errno;
}

} // namespace test

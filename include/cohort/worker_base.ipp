// SPDX-License-Identifier: MIT
// The bodies of worker_base.hpp (layer 4).
#pragma once

#include <cohort/worker_base.hpp>

#include <cohort/datagram_socket.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/worker/abort_report.hpp>
#include <cohort/detail/worker/worker_core.hpp>

#include <unistd.h>

namespace cohort {

COHORT_DECL WorkerBase::WorkerBase(const detail::WorkerSetup& setup, const Options& options, detail::Schema outgoing,
                                   detail::Schema incoming, MakeIntake make_intake, std::vector<std::string> args)
    : limits_{.bytes = options.max_message},
      core_(detail::share<detail::WorkerCore>(setup, options, outgoing, incoming, make_intake, std::move(args))) {}

COHORT_DECL WorkerId WorkerBase::id() const noexcept { return core_->identity().id; }
COHORT_DECL unsigned WorkerBase::slot() const noexcept { return core_->identity().slot; }
COHORT_DECL pid_t WorkerBase::pid() const noexcept { return ::getpid(); }
COHORT_DECL const std::vector<std::string>& WorkerBase::args() const noexcept { return core_->args(); }
COHORT_DECL asio::io_context& WorkerBase::context() noexcept { return core_->context(); }
COHORT_DECL asio::any_io_executor WorkerBase::get_executor() noexcept { return core_->context().get_executor(); }

COHORT_DECL Task<Listener> WorkerBase::listen(Endpoint endpoint) { return core_->listen(std::move(endpoint)); }
COHORT_DECL Task<Listener> WorkerBase::listen(Endpoint endpoint, Exclusive) {
    return core_->listen_alone(std::move(endpoint));
}
COHORT_DECL Task<DatagramSocket> WorkerBase::bind(Endpoint endpoint) { return core_->bind(std::move(endpoint)); }

COHORT_DECL void WorkerBase::limit_connections(std::uint32_t most) { core_->connection_count().set_limit(most); }
COHORT_DECL std::uint32_t WorkerBase::open_connections() noexcept { return core_->connection_count().open(); }
COHORT_DECL detail::OngoingRequest WorkerBase::begin_request(std::string_view what) noexcept {
    return core_->connection_count().begin_request({.method = what, .target = {}, .client = {}, .socket = -1});
}
COHORT_DECL Totals WorkerBase::totals() { return core_->page().totals(); }
COHORT_DECL Counter WorkerBase::counter(std::string_view name) { return core_->page().counter(name); }
COHORT_DECL void WorkerBase::doing(std::string_view what) noexcept { detail::AbortReport::set_doing(what); }

COHORT_DECL Task<Leadership> WorkerBase::leader(std::string role) { return core_->leader(std::move(role)); }
COHORT_DECL Task<> WorkerBase::flush() { return core_->messages()->flush(); }
COHORT_DECL bool WorkerBase::connected() const noexcept { return core_->connected(); }
COHORT_DECL void WorkerBase::ready() { core_->announce_ready(); }
COHORT_DECL bool WorkerBase::stopping() const noexcept { return core_->stopping(); }
COHORT_DECL Task<> WorkerBase::until_stopping() { return core_->until_stopping(); }
COHORT_DECL void WorkerBase::disconnect() { core_->leave(); }
COHORT_DECL Task<> WorkerBase::exit(int code) {
    core_->exit(code); // blocking is right here: nothing else is to happen any more
    co_return;
}
COHORT_DECL void WorkerBase::at_exit(std::function<void()> action) { core_->at_exit(std::move(action)); }

COHORT_DECL const std::shared_ptr<detail::MessageStream>& WorkerBase::messages() const noexcept {
    return core_->messages();
}

COHORT_DECL Task<detail::UniqueFd> WorkerBase::connect_peer(WorkerId other) { return core_->introduce(other); }

COHORT_DECL Task<std::optional<detail::AcceptedPeer>> WorkerBase::next_peer() { return core_->next_peer(); }

COHORT_DECL Task<detail::BusClient> WorkerBase::connect_bus() {
    auto socket = co_await core_->connect_bus();
    co_return detail::BusClient(get_executor(), std::move(socket), limits_.bytes);
}

COHORT_LAZY COHORT_DECL Task<> WorkerBase::publish_encoded(detail::Published published) {
    if (!bus_) {
        auto client = co_await connect_bus();
        if (!bus_) bus_.emplace(std::move(client));
    }
    co_await bus_->publish(std::move(published));
}

} // namespace cohort

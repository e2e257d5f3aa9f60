// SPDX-License-Identifier: MIT
// The bodies of master_base.hpp (layer 4).
#pragma once

#include <cohort/master_base.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/supervise/supervisor.hpp>
#include <cohort/detail/worker/identity.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <cerrno>
#include <system_error>

#include <unistd.h>

namespace cohort {

COHORT_DECL bool is_worker() noexcept { return detail::in_worker; }
COHORT_DECL bool is_master() noexcept { return !detail::in_worker; }

COHORT_DECL MasterBase::MasterBase(asio::io_context& context, Options options, detail::Schema outgoing,
                                   detail::Schema incoming, MakeDispatcher make_dispatcher)
    : process_(::getpid()),
      supervisor_(std::make_unique<detail::Supervisor>(context, std::move(options), detail::Schemas{outgoing, incoming},
                                                       make_dispatcher)),
      mail_(&supervisor_->mail()) {}

COHORT_DECL MasterBase::~MasterBase() = default;

/// What it would reach in a forked worker are descriptors with the numbers that its master's had.
COHORT_DECL detail::Supervisor& MasterBase::own() const {
    if (::getpid() != process_)
        throw std::system_error(EPERM, std::system_category(), "a master serves the process that has made it");
    return *supervisor_;
}

COHORT_DECL Task<std::optional<Event>> MasterBase::next_event() { return supervisor_->next_event(); }

COHORT_DECL WorkerId MasterBase::spawn_program(WorkerOptions options) { return adopt_program(0, std::move(options)); }

COHORT_DECL WorkerId MasterBase::adopt_program(pid_t pid, WorkerOptions options) {
    if (options.program.empty())
        throw std::system_error(EINVAL, std::system_category(), "WorkerOptions::program is empty");
    return start_worker({.make = {}, .options = std::move(options), .running = pid});
}
COHORT_DECL void MasterBase::ready(WorkerId worker) { own().announce(worker); }

COHORT_DECL void MasterBase::disconnect(WorkerId worker) { own().disconnect(worker); }
COHORT_DECL void MasterBase::scale(unsigned workers) { own().slot_manager().scale(workers); }
COHORT_DECL void MasterBase::set(const Settings& settings) { own().set(settings); }
COHORT_DECL void MasterBase::kill(WorkerId worker, int signal) { own().kill(worker, signal); }
COHORT_DECL Task<ReloadReport> MasterBase::reload() { return own().reload(); }
COHORT_DECL Task<ReloadReport> MasterBase::upgrade() { return own().upgrade(); }
COHORT_DECL Task<> MasterBase::stop() { return own().stop(); }
COHORT_DECL void MasterBase::kill_all() { own().kill_all(); }
COHORT_DECL void MasterBase::reopen_logs() {
    if (auto* const logs = own().logs()) logs->reopen();
}
COHORT_DECL Task<> MasterBase::until_finished() { return supervisor_->until_finished(); }

COHORT_DECL Task<> MasterBase::until_stopping() { return supervisor_->until_stopping(); }

COHORT_DECL std::vector<WorkerInfo> MasterBase::workers() const { return supervisor_->workers(); }
COHORT_DECL unsigned MasterBase::ready_workers() const { return supervisor_->ready_workers(); }

COHORT_DECL Stats MasterBase::stats() const { return supervisor_->stats(); }
COHORT_DECL std::vector<RequestInfo> MasterBase::requests() const { return supervisor_->requests(); }
COHORT_DECL std::uint64_t MasterBase::generation() const noexcept { return supervisor_->generation(); }
COHORT_DECL Totals MasterBase::totals() { return supervisor_->totals(); }
COHORT_DECL Counter MasterBase::counter(std::string_view name) { return supervisor_->page().counter(name); }
COHORT_DECL bool MasterBase::has_given_up() const noexcept { return supervisor_->has_given_up(); }
COHORT_DECL bool MasterBase::stopping() const noexcept { return supervisor_->stopping(); }
COHORT_DECL const Options& MasterBase::options() const noexcept { return supervisor_->options(); }
COHORT_DECL asio::io_context& MasterBase::context() noexcept { return supervisor_->context(); }

COHORT_DECL WorkerId MasterBase::start_worker(detail::WorkerSpec spec) { return own().spawn(std::move(spec)); }
COHORT_DECL SerializeLimits MasterBase::limits() const noexcept { return {.bytes = options().max_message}; }

COHORT_DECL detail::MessageStream& MasterBase::messages_of(WorkerId worker) const {
    return *own().record(worker).messages;
}

COHORT_DECL std::vector<detail::MessageStream*> MasterBase::receivers() const {
    std::vector<detail::MessageStream*> streams;
    for (const auto& [id, record] : own().records())
        if (record->state < WorkerState::draining) streams.push_back(record->messages.get());
    return streams;
}

COHORT_DECL std::vector<detail::MessageStream*> MasterBase::receivers(std::span<const WorkerId> workers) const {
    std::vector<detail::MessageStream*> streams;
    const detail::WorkerRecords& records = own().records();
    for (const WorkerId id : workers) {
        const auto found = records.find(id);
        const bool is_there = found != records.end() && found->second->state < WorkerState::draining;
        if (is_there) streams.push_back(found->second->messages.get());
    }
    return streams;
}

COHORT_DECL Task<detail::CallLease> MasterBase::lease_worker(std::chrono::steady_clock::time_point deadline) {
    return own().pool().lease(deadline);
}

COHORT_LAZY COHORT_DECL Task<> MasterBase::all_sent(std::vector<Task<>> sends) {
    if (sends.empty()) co_await asio::post(asio::use_awaitable); // who does this again and again holds nobody up
    for (auto& send : sends) {
        try {
            co_await std::move(send);
        } catch (const std::system_error&) {
            // That worker has just died; its exit is an event of its own.
        }
    }
}

COHORT_DECL detail::BusClient MasterBase::connect_bus() {
    return {context().get_executor(), own().connect_bus(), options().max_message};
}

COHORT_LAZY COHORT_DECL Task<> MasterBase::publish_encoded(detail::Published published) {
    if (!bus_) bus_.emplace(connect_bus());
    return bus_->publish(std::move(published));
}

} // namespace cohort

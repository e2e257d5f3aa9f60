// SPDX-License-Identifier: MIT
// Succession: one master after the other, with the same sockets and without a gap (layer 4).
#pragma once

#include <cohort/detail/any_dispatcher.hpp>
#include <cohort/detail/front_desk.hpp>
#include <cohort/detail/heir.hpp>
#include <cohort/detail/predecessor.hpp>
#include <cohort/detail/worker_record.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace cohort::detail {

/// Both ends: this master may have replaced one, and may be replaced.
class Succession {
public:
    /// Takes the sockets over when this process was started to replace a master. Throws what Predecessor::receive()
    /// does.
    Succession(asio::io_context& context, const Options& options)
        : context_(context), options_(options), predecessor_(Predecessor::take(context.get_executor())) {
        if (predecessor_) predecessor_->receive(listeners_, datagrams_);
    }
    Succession(const Succession&) = delete;
    Succession& operator=(const Succession&) = delete;
    ~Succession() {
        finish();
        if (heir_ && !succeeded_) heir_->kill();
    }
    /// Nobody is left here: nothing more goes either way.
    void finish() noexcept {
        if (heir_ && succeeded_) heir_->leave_alone(options_.grace);
        if (predecessor_) predecessor_->close();
    }

    // After the master before this one

    PassedListeners& listeners() noexcept { return listeners_; }
    PassedListeners& datagrams() noexcept { return datagrams_; }
    /// How many endpoints the first worker of a slot is to share before it counts as ready: as many as there.
    unsigned wanted_endpoints(unsigned slot) const noexcept { return is_awaited() ? predecessor_->endpoints(slot) : 0; }
    /// Has the dispatcher give away the connections that the workers of the master before give back, each when there is
    /// room for it beside those that wait there.
    void receive_connections(AnyDispatcher& dispatcher, bool (*may_take)(std::size_t waiting));
    bool is_awaited() const noexcept { return predecessor_ && !told_; }
    void tell_ready() {
        told_ = true;
        predecessor_->tell_ready();
    }

    // Before the one after it

    /// Starts the program anew, gives it the sockets, and waits until its workers are ready. From then on it gets what
    /// is open in those here when they leave.
    Task<ReloadReport> pass_on(AnyDispatcher& dispatcher, FrontDesk& desk, const WorkerRecords& workers);
    bool is_under_way() const noexcept { return heir_ != nullptr && !succeeded_; }
    bool is_heir(pid_t pid) const noexcept { return heir_ && heir_->pid() == pid; }
    /// The next master has taken over.
    bool has_succeeded() const noexcept { return succeeded_; }
    void fail(std::error_code error) {
        if (is_under_way()) heir_->fail(error);
    }
    /// Connections that the next master has not read yet.
    std::size_t waiting() const noexcept { return heir_ ? heir_->waiting() : 0; }

private:
    static void bequeath(Heir& heir, AnyDispatcher& dispatcher, const FrontDesk& desk, const WorkerRecords& workers);

    static constexpr unsigned most_slots = 1024; // that are told; the others' workers are ready when they run

    asio::io_context& context_;
    const Options& options_;
    std::unique_ptr<Predecessor> predecessor_;
    PassedListeners listeners_;
    PassedListeners datagrams_;
    std::shared_ptr<Heir> heir_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    bool told_ = false;
    bool succeeded_ = false;
};

inline void Succession::receive_connections(AnyDispatcher& dispatcher, bool (*may_take)(std::size_t waiting)) {
    if (!predecessor_) return;
    auto take = [&dispatcher](PassedOn& passed, UniqueFd connection) {
        dispatcher.give(passed.endpoint, Passage(std::move(connection), std::move(passed.state)));
    };
    auto has_room = [&dispatcher, may_take] { return may_take(dispatcher.waiting()); };
    asio::co_spawn(context_, Predecessor::receive_connections(alive_, *predecessor_, take, has_room), asio::detached);
}

inline void Succession::bequeath(Heir& heir, AnyDispatcher& dispatcher, const FrontDesk& desk,
                                 const WorkerRecords& workers) {
    for (const auto& each : dispatcher.listeners())
        heir.give(Bequest{each.requested, each.slot, false}, each.descriptor);
    for (const auto& each : desk.datagram_sockets())
        heir.give(Bequest{each.requested, each.slot, true}, each.descriptor);
    Bequeathed bequeathed;
    for (const auto& [id, record] : workers) {
        if (record->slot >= most_slots) continue;
        if (record->slot >= bequeathed.endpoints.size()) bequeathed.endpoints.resize(record->slot + 1);
        bequeathed.endpoints[record->slot] = record->endpoints;
    }
    heir.give(bequeathed);
}

inline Task<ReloadReport> Succession::pass_on(AnyDispatcher& dispatcher, FrontDesk& desk,
                                              const WorkerRecords& workers) {
    ReloadReport report;
    try {
        heir_ = Heir::launch(context_.get_executor());
    } catch (const std::system_error& error) {
        report.error = error.code();
        co_return report;
    }
    const auto heir = heir_;
    const std::weak_ptr<bool> alive = alive_;
    bequeath(*heir, dispatcher, desk, workers);
    std::exception_ptr given_up; // by the caller
    try {
        co_await Heir::until_ready(heir, options_.boot_timeout, report);
    } catch (...) {
        given_up = std::current_exception();
    }
    if (alive.expired()) {
        report.error = Errc::stopping;
        co_return report;
    }
    succeeded_ = !given_up && !report.error;
    if (succeeded_) {
        report.replaced = static_cast<unsigned>(workers.size());
        desk.pass_on_to([heir](const Endpoint& endpoint, Passage connection) {
            heir->pass_on(endpoint, std::move(connection.state), std::move(connection.connection));
        });
        co_return report;
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await Heir::end(heir, options_.grace);
    if (!alive.expired()) heir_ = nullptr;
    if (given_up) std::rethrow_exception(given_up);
    co_return report;
}

} // namespace cohort::detail

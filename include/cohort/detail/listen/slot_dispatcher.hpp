// SPDX-License-Identifier: MIT
// SlotDispatcher: the master's half of the modes in which workers accept by themselves (layer 3).
#pragma once

#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/listen/accept_loop.hpp>
#include <cohort/detail/listen/port_table.hpp>
#include <cohort/mode.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <system_error>
#include <vector>

namespace cohort::detail {

struct SlotListener {
    std::shared_ptr<AcceptLoop> accepting; ///< by the master, while no worker serves it
    std::vector<ListenerId> served_by;
    bool is_stuck = false;      ///< those who serve it do not
    bool waited = false;        ///< somebody was in its queue at the last look,
    std::uint64_t accepted = 0; ///< when so many had been served
};

/// A port with a listener for each slot.
struct SlottedPort : Port {
    std::map<unsigned, SlotListener> slots;
    bool one_listener = false; ///< for all slots

    bool is_shared() const noexcept { return one_listener || !requested.is_tcp(); }
    unsigned key(unsigned slot) const noexcept { return one_listener ? 0 : Port::key(slot); }
    /// One that all share is served as long as anybody does.
    bool can_be_stuck() const noexcept { return slots.size() > 1 && distributor->has_workers(); }
};

/// A port with a listener for each slot, or one for all of them. The kernel distributes; the master accepts only where
/// no worker does.
class SlotDispatcher final : public PortTable<SlottedPort> {
public:
    /// `one_listener`: for all slots, as SharedListener has it; otherwise as SharedSocket has it.
    explicit SlotDispatcher(const DispatchContext& context, bool one_listener = false)
        : PortTable(context), watch_(context.executor), one_listener_(one_listener) {}
    ~SlotDispatcher() override { stop(false); }

    COHORT_DECL void prepare() override;
    COHORT_DECL std::vector<int> inherited(unsigned slot) override;
    COHORT_DECL Grant open(DispatchTarget& target, const Endpoint& endpoint) override;
    COHORT_DECL void close(DispatchTarget& target, ListenerId listener) override;
    COHORT_DECL void drain(DispatchTarget& target) override;
    COHORT_DECL void leave(DispatchTarget& target, bool successor) override;
    COHORT_DECL std::vector<QueueStats> queues() const override;
    COHORT_DECL std::vector<OpenListener> listeners() const override;
    COHORT_DECL void stop(bool goes_on) override;

private:
    SlottedPort* make(const Endpoint& endpoint, unsigned slot, std::error_code& error);
    SlotListener* slot_listener(SlottedPort& port, unsigned slot, std::error_code& error);
    void adopt_unserved(SlottedPort& port);
    void watch();
    void check_all();
    void check(SlottedPort& port);
    void retire(DispatchTarget& target);
    static void give_out(SlottedPort& port) {
        for (auto& [slot, listener] : port.slots) listener.accepting->drain();
    }
    static void stop_listening(SlottedPort& port) {
        for (auto& [slot, listener] : port.slots) listener.accepting->close();
    }

    Timer watch_;
    bool one_listener_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/slot_dispatcher.ipp>
#endif

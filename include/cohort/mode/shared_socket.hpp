// SPDX-License-Identifier: MIT
// SharedSocket: every worker accepts by itself, on the SO_REUSEPORT listener of its slot (layer 3).
#pragma once

#include <cohort/detail/listen/accept_loop.hpp>
#include <cohort/detail/listen/accepting_intake.hpp>
#include <cohort/detail/listen/port_table.hpp>
#include <cohort/mode.hpp>

#include <map>
#include <memory>
#include <vector>

namespace cohort {

/// The kernel distributes, by a hash of the addresses (socket(7), SO_REUSEPORT); nothing passes through the master.
///
/// A listener belongs to the master and to a slot. When its worker goes, the kernel's queue stays, the successor
/// continues with it, and as long as nobody serves it the master accepts from it for the other workers: also when its
/// worker has not accepted for Options::stuck_after although somebody waits. A Unix path and
/// an inherited socket have one listener, which all workers share.
struct SharedSocket {
    static constexpr const char* name = "shared-socket";
    class Dispatcher;
    class Intake;
};

namespace detail {

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

} // namespace detail

class SharedSocket::Dispatcher : public detail::PortTable<detail::SlottedPort> {
public:
    /// `one_listener`: for all slots, as SharedListener has it.
    explicit Dispatcher(DispatchContext context, bool one_listener = false)
        : PortTable(context), watch_(context.executor), one_listener_(one_listener) {}
    ~Dispatcher() { stop(false); }

    void prepare();
    std::vector<int> inherited(unsigned slot);
    Grant open(DispatchTarget& target, const Endpoint& endpoint);
    void close(DispatchTarget& target, detail::ListenerId listener);
    void drain(DispatchTarget& target);
    void leave(DispatchTarget& target, bool successor);
    std::vector<QueueStats> queues() const;
    std::vector<OpenListener> listeners() const;
    void stop(bool goes_on);

private:
    detail::SlottedPort* make(const Endpoint& endpoint, unsigned slot, std::error_code& error);
    detail::SlotListener* slot_listener(detail::SlottedPort& port, unsigned slot, std::error_code& error);
    void adopt_unserved(detail::SlottedPort& port);
    void watch();
    void check(detail::SlottedPort& port);
    void retire(DispatchTarget& target);
    static void give_out(detail::SlottedPort& port) {
        for (auto& [slot, listener] : port.slots) listener.accepting->drain();
    }
    static void stop_listening(detail::SlottedPort& port) {
        for (auto& [slot, listener] : port.slots) listener.accepting->close();
    }

    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    asio::steady_timer watch_;
    bool watching_ = false;
    bool one_listener_;
};

/// Connections come from the slot's listener, and at times from the master.
class SharedSocket::Intake final : public detail::AcceptingIntake {
public:
    using AcceptingIntake::AcceptingIntake;
};

static_assert(Mode<SharedSocket>);

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/mode/shared_socket.ipp>
#endif

// SPDX-License-Identifier: MIT
// AcceptingDispatcher: the master's half of every mode in which it accepts and hands connections over (layer 3).
#pragma once

#include <cohort/detail/listen/accept_loop.hpp>
#include <cohort/detail/listen/port_table.hpp>

#include <memory>
#include <vector>

namespace cohort::detail {

/// A port on which the master accepts.
struct AcceptedPort : Port {
    std::shared_ptr<AcceptLoop> accepting;
};

/// Which worker gets a connection is the scheduler's to say.
class AcceptingDispatcher : public PortTable<AcceptedPort> {
public:
    AcceptingDispatcher(DispatchContext context, MakeScheduler make_scheduler)
        : PortTable(context), make_scheduler_(make_scheduler) {}
    ~AcceptingDispatcher() { stop(false); }

    void prepare();
    std::vector<int> inherited(unsigned) const { return {}; }
    Grant open(DispatchTarget& target, const Endpoint& endpoint);
    void close(DispatchTarget& target, ListenerId listener);
    void drain(DispatchTarget& target);
    void leave(DispatchTarget& target, bool successor);
    std::vector<QueueStats> queues() const;
    std::vector<OpenListener> listeners() const;
    void stop(bool goes_on);

private:
    AcceptedPort* make(const Endpoint& endpoint, std::error_code& error);
    static void stop_accepting(AcceptedPort& port) { port.accepting->close(); }

    MakeScheduler make_scheduler_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/accepting_dispatcher.ipp>
#endif

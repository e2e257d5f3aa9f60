// SPDX-License-Identifier: MIT
// AcceptingDispatcher: the master's half of every mode in which it accepts and hands connections over (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
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
class AcceptingDispatcher final : public PortTable<AcceptedPort> {
public:
    AcceptingDispatcher(const DispatchContext& context, MakeScheduler make_scheduler)
        : PortTable(context), make_scheduler_(make_scheduler) {}
    ~AcceptingDispatcher() override { stop(false); }

    COHORT_DECL void prepare() override;
    std::vector<int> inherited(unsigned) override { return {}; }
    COHORT_DECL Grant open(DispatchTarget& target, const Endpoint& endpoint) override;
    COHORT_DECL void close(DispatchTarget& target, ListenerId listener) override;
    COHORT_DECL void drain(DispatchTarget& target) override;
    COHORT_DECL void leave(DispatchTarget& target, bool successor) override;
    COHORT_DECL std::vector<QueueStats> queues() const override;
    COHORT_DECL std::vector<OpenListener> listeners() const override;
    COHORT_DECL void stop(bool goes_on) override;

private:
    AcceptedPort* make(const Endpoint& endpoint, std::error_code& error);
    static void stop_accepting(AcceptedPort& port) { port.accepting->close(); }

    MakeScheduler make_scheduler_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/accepting_dispatcher.ipp>
#endif

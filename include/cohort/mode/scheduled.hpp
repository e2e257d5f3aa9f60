// SPDX-License-Identifier: MIT
// Scheduled: the master accepts, and a scheduler says which worker gets the connection (layer 3).
#pragma once

#include <cohort/detail/listen/accepting_dispatcher.hpp>
#include <cohort/detail/listen/delivery_intake.hpp>
#include <cohort/mode.hpp>
#include <cohort/scheduler.hpp>

namespace cohort {

/// A worker that is stuck or full gets nothing new; when nobody has room, connections stay in the kernel's queue. Costs
/// a system call to pass each batch. Any type that satisfies Scheduler will do:
///
///     struct Least { std::size_t choose(const Arrival&, std::span<const Candidate> workers); };
///     using App = Master<Message, Scheduled<Least>>;
template <Scheduler S>
struct Scheduled {
    static constexpr const char* name = "scheduled";

    class Dispatcher : public detail::AcceptingDispatcher {
    public:
        explicit Dispatcher(DispatchContext context) : AcceptingDispatcher(context, &detail::make_scheduler<S>) {}
    };

    /// Connections arrive with the master's messages.
    class Intake final : public detail::DeliveryIntake {
    public:
        using DeliveryIntake::DeliveryIntake;
    };
};

} // namespace cohort

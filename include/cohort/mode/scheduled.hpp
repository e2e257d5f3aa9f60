// SPDX-License-Identifier: MIT
// Scheduled: the master accepts, and a scheduler says which worker gets the connection (layer 3).
#pragma once

#include <cohort/mode.hpp>
#include <cohort/scheduler.hpp>

#include <memory>
#include <utility>

namespace cohort {

namespace detail {

std::unique_ptr<Dispatcher> make_accepting_dispatcher(const DispatchContext& context, MakeScheduler make_scheduler);
std::shared_ptr<Intake> make_delivery_intake(IntakeContext context);

} // namespace detail

/// A worker that is stuck or full gets nothing new; when nobody has room, connections stay in the kernel's queue. Costs
/// a system call to pass each batch. Any type that satisfies Scheduler will do:
///
///     struct Least { std::size_t choose(const Arrival&, std::span<const Candidate> workers); };
///     using App = Master<Message, Scheduled<Least>>;
template <Scheduler S>
struct Scheduled {
    static constexpr const char* name = "scheduled";

    static std::unique_ptr<Dispatcher> make_dispatcher(const DispatchContext& context) {
        return detail::make_accepting_dispatcher(context, &detail::make_scheduler<S>);
    }
    /// Connections arrive with the master's messages.
    static std::shared_ptr<Intake> make_intake(IntakeContext context) {
        return detail::make_delivery_intake(std::move(context));
    }
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/mode/scheduled.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of scheduled.hpp (layer 3).
#pragma once

#include <cohort/mode/scheduled.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/listen/accepting_dispatcher.hpp>
#include <cohort/detail/listen/delivery_intake.hpp>
#include <cohort/detail/share.hpp>

#include <utility>

namespace cohort::detail {

COHORT_DECL std::unique_ptr<Dispatcher> make_accepting_dispatcher(const DispatchContext& context,
                                                                  MakeScheduler make_scheduler) {
    return std::make_unique<AcceptingDispatcher>(context, make_scheduler);
}

COHORT_DECL std::shared_ptr<Intake> make_delivery_intake(IntakeContext context) {
    return detail::share<DeliveryIntake>(std::move(context));
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of shared_listener.hpp (layer 3).
#pragma once

#include <cohort/mode/shared_listener.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/listen/accepting_intake.hpp>
#include <cohort/detail/listen/slot_dispatcher.hpp>
#include <cohort/detail/share.hpp>

#include <utility>

namespace cohort {

COHORT_DECL std::unique_ptr<Dispatcher> SharedListener::make_dispatcher(const DispatchContext& context) {
    return std::make_unique<detail::SlotDispatcher>(context, true);
}

/// Connections come from the listener, and at times from the master.
COHORT_DECL std::shared_ptr<Intake> SharedListener::make_intake(IntakeContext context) {
    return detail::share<detail::AcceptingIntake>(std::move(context));
}

} // namespace cohort

// SPDX-License-Identifier: MIT
// MasterLink and WorkerLink: the two ends of the link between a master and one worker (layer 3).
#pragma once

#include <cohort/detail/control/control_link.hpp>
#include <cohort/detail/control/control_message.hpp>

namespace cohort::detail {

/// The master's end.
class MasterLink final : public TypedLink<FromMaster, FromWorker> {
public:
    using TypedLink::TypedLink;
};

/// The worker's end.
class WorkerLink final : public TypedLink<FromWorker, FromMaster> {
public:
    using TypedLink::TypedLink;
};

} // namespace cohort::detail

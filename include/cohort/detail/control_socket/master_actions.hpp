// SPDX-License-Identifier: MIT
// What every master does when it is asked to by its control socket (layer 4).
#pragma once

#include <cohort/detail/supervise/control_plane.hpp>

namespace cohort::detail {

/// The actions that control::Client has functions for.
void add_master_actions(ControlPlane& control, Supervisor& supervisor);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control_socket/master_actions.ipp>
#endif

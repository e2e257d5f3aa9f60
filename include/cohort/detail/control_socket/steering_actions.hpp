// SPDX-License-Identifier: MIT
// What a master does for those who steer it by its control socket (layer 4).
#pragma once

#include <cohort/detail/supervise/control_plane.hpp>

namespace cohort::detail {

/// Of the functions of control::Client, those that change something.
void add_steering_actions(ControlPlane& control, Supervisor& supervisor);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control_socket/steering_actions.ipp>
#endif

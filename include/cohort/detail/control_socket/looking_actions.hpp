// SPDX-License-Identifier: MIT
// What a master tells of itself to those who ask its control socket (layer 4).
#pragma once

#include <cohort/detail/supervise/control_plane.hpp>

namespace cohort::detail {

/// Of the functions of control::Client, those that change nothing.
void add_looking_actions(ControlPlane& control, Supervisor& supervisor);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control_socket/looking_actions.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of control.hpp (layer 5).
#pragma once

#include <cohort/control.hpp>

#include <cohort/detail/access.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control_socket/looking_actions.hpp>
#include <cohort/detail/control_socket/steering_actions.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/supervise/supervisor.hpp>
#include <cohort/detail/worker/identity.hpp>

namespace cohort::detail {

COHORT_DECL std::shared_ptr<ControlPlane> open_control_socket(Supervisor& supervisor, UniqueFd inherited) {
    auto socket =
        share<ControlSocket>(supervisor.context().get_executor(), supervisor.options().control, std::move(inherited));
    add_looking_actions(*socket, supervisor);
    add_steering_actions(*socket, supervisor);
    return socket;
}

COHORT_DECL const bool has_control = (open_control = &open_control_socket) != nullptr;

COHORT_DECL ControlPlane* control_of(MasterBase& master) {
    ControlPlane* const control = Access::supervisor(master).control();
    if (control == nullptr && !pending_identity)
        throw std::system_error(make_error_code(Errc::closed), "Options::control is not set");
    return control;
}

} // namespace cohort::detail

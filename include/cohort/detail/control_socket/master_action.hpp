// SPDX-License-Identifier: MIT
// What a master does when it is asked to by its control socket, as an action of that (layer 4).
#pragma once

#include <cohort/detail/control_socket/encoded_value.hpp>
#include <cohort/detail/control_socket/make_action.hpp>
#include <cohort/detail/supervise/control_plane.hpp>
#include <cohort/task.hpp>

#include <cstddef>
#include <vector>

namespace cohort::detail {

/// A coroutine of a supervisor and an argument. It is not begun any more when the supervisor has gone; one that waits
/// must not use it afterwards.
template <class Argument, class Result>
struct MasterAction {
    Task<Result> operator()(const Argument& argument) const { return run(supervisor, argument); }

    Supervisor& supervisor;
    Task<Result> (*run)(Supervisor&, Argument);
};

template <class Argument, class Result>
void add_action(ControlPlane& control, Supervisor& supervisor, const char* name,
                Task<Result> (*run)(Supervisor&, Argument)) {
    control.add(name, make_action<Argument>(MasterAction<Argument, Result>{supervisor, run}));
}

/// A task that is done.
Task<std::vector<std::byte>> given(std::vector<std::byte> answer);

/// A function that has its answer at once: a coroutine for each would take the compiler longer than what it does.
template <class Argument, class Result>
void add_action(ControlPlane& control, Supervisor& supervisor, const char* name, Result (*run)(Supervisor&, Argument)) {
    control.add(name, {schema_hash<Argument>(), schema_hash<Result>(),
                       [&supervisor, run](const std::vector<std::byte>& argument) {
                           return given(to_bytes(run(supervisor, from_bytes<Argument>(argument))));
                       }});
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control_socket/master_action.ipp>
#endif

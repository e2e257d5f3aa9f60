// SPDX-License-Identifier: MIT
// The control socket: a master that can be seen and steered from outside (layer 5).
#pragma once

// With Options::control a master serves this socket for as long as it lives; the master that follows at an upgrade
// takes it over. A program that is compiled header-only includes this file in one of its units for that; <cohort.hpp>
// does not have it.

#include <cohort/control/client.hpp>
#include <cohort/control/messages.hpp>
#include <cohort/detail/control_socket/control_socket.hpp>
#include <cohort/detail/control_socket/make_action.hpp>
#include <cohort/detail/supervise/control_plane.hpp>
#include <cohort/master_base.hpp>

#include <string>
#include <utility>

namespace cohort {

namespace detail {

/// Null in a program that was started as a worker. Throws Errc::closed, as std::system_error: it has none.
ControlPlane* control_of(MasterBase& master);

} // namespace detail

namespace control {

/// Gives the master an action of the program's own, for control::Client::call(). `handler` is called in the master as
/// `Task<Result>(const Argument&)`, several at a time; what it throws is the caller's error. It is kept until the
/// master ends, and given up with its caller.
///
///     Task<Flushed> flush(const Flush& wanted);
///     control::on<Flush>(app, "flush-cache", flush);
///
/// Errors, as std::system_error: EEXIST: there is an action of this name; Errc::closed: Options::control is not set.
template <class Argument, class Handler>
void on(MasterBase& master, std::string name, Handler handler) {
    static_assert(
        requires(const Argument& argument) { handler(argument); },
        "cohort: the handler of an action must be callable as Task<Result>(const Argument&)");
    if (auto* const control = detail::control_of(master))
        control->add(std::move(name), detail::make_action<Argument>(std::move(handler)));
}

} // namespace control

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/control.ipp>
#endif

// SPDX-License-Identifier: MIT
// SharedListener: every worker accepts by itself, all on one listener (layer 3).
#pragma once

#include <cohort/mode.hpp>

#include <memory>

namespace cohort {

/// An idle worker accepts the next connection, as with a single queue: the shortest wait of all modes when requests or
/// workers differ. But a new connection wakes every idle worker, and the quickest get the most; with many idle workers,
/// SharedSocket costs less. (EPOLLEXCLUSIVE, epoll_ctl(2), would not help: it has no effect on an epoll set that is
/// itself watched, as Asio's would have to be.) For workers that trust each other: whoever has the one listener can end
/// it (shutdown(2)), filter it or make it block for all. In SharedSocket that concerns one slot, in the other modes
/// none.
struct SharedListener {
    static constexpr const char* name = "shared-listener";

    static std::unique_ptr<Dispatcher> make_dispatcher(const DispatchContext& context);
    static std::shared_ptr<Intake> make_intake(IntakeContext context);
};

static_assert(Mode<SharedListener>);

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/mode/shared_listener.ipp>
#endif

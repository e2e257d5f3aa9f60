// SPDX-License-Identifier: MIT
// SharedSocket: every worker accepts by itself, on the SO_REUSEPORT listener of its slot (layer 3).
#pragma once

#include <cohort/mode.hpp>

#include <memory>

namespace cohort {

/// The kernel distributes, by a hash of the addresses (socket(7), SO_REUSEPORT); nothing passes through the master.
///
/// A listener belongs to the master and to a slot. When its worker ends, the queue in the kernel stays for the
/// successor. While no worker serves it, or its worker has not accepted for Options::stuck_after although connections
/// wait, the master accepts from it for the other workers. A Unix path and an inherited socket have one listener, which
/// all workers share.
struct SharedSocket {
    static constexpr const char* name = "shared-socket";

    static std::unique_ptr<Dispatcher> make_dispatcher(const DispatchContext& context);
    static std::shared_ptr<Intake> make_intake(IntakeContext context);
};

static_assert(Mode<SharedSocket>);

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/mode/shared_socket.ipp>
#endif

// SPDX-License-Identifier: MIT
// The errors that are cohort's own, as std::error_code (layer 0).
#pragma once

#include <cohort/detail/config.hpp>

#include <string>
#include <system_error>

namespace cohort {

/// What can go wrong beyond what the system calls report (those keep std::system_category).
enum class Errc {
    closed = 1,        ///< the channel or the listener was closed on this side
    bad_frame,         ///< a frame header that no cohort peer writes
    bad_message,       ///< bytes that are not an encoding of the expected type
    message_too_large, ///< a message, or one of its containers, exceeds the limit
    nested_too_deep,   ///< a message is nested more deeply than the limit
    schema_mismatch,   ///< the two sides were built with different message types
    no_such_worker,    ///< no living worker has this id
    no_free_slot,      ///< every slot, or every cell of the shared page, is taken
    multithreaded,     ///< fork is refused: the process has more than one thread
    stopping,          ///< the cluster, or this worker, is being stopped
    bad_endpoint,      ///< an address that cannot be understood
    descriptors_lost,  ///< descriptors sent along did not fit in this process (RLIMIT_NOFILE)
    no_descriptors,    ///< a message with a Handle where descriptors cannot travel
    unanswered,        ///< the other side received the call and dropped it without a reply
    queue_full,        ///< more calls wait for a worker than Options::queued_calls
    call_failed,       ///< the other side's handler of the call threw
    setup_failed,      ///< a worker could not be prepared: user, directory or program
    not_ready,         ///< a new worker ended, or timed out, before it was ready
    reloading,         ///< another reload is under way
    canary_failed,     ///< a new worker ended, or was found unhealthy, while it was on trial
    unresponsive,      ///< a worker's event loop stood still
    not_activated,     ///< the process was not started with this socket (LISTEN_FDS)
    too_many,          ///< a worker or peer has as many of these, or has left as much unread, as one may
    no_such_action,    ///< a master does nothing of this name (cohort/control.hpp)
};

namespace detail {

struct ErrorCategory final : std::error_category {
    const char* name() const noexcept override { return "cohort"; }

    COHORT_DECL std::string message(int value) const override;
};

} // namespace detail

/// The category of Errc.
const std::error_category& error_category() noexcept;

inline std::error_code make_error_code(Errc error) noexcept { return {static_cast<int>(error), error_category()}; }

} // namespace cohort

template <>
struct std::is_error_code_enum<cohort::Errc> : std::true_type {};

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/error.ipp>
#endif

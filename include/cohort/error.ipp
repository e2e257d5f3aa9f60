// SPDX-License-Identifier: MIT
// The bodies of error.hpp (layer 0).
#pragma once

#include <cohort/error.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL std::string ErrorCategory::message(int value) const {
    switch (static_cast<Errc>(value)) {
        case Errc::closed: return "closed";
        case Errc::bad_frame: return "not a cohort frame";
        case Errc::bad_message: return "the bytes do not encode the expected message type";
        case Errc::message_too_large: return "message exceeds the size limit";
        case Errc::nested_too_deep: return "message exceeds the nesting limit";
        case Errc::schema_mismatch: return "the two sides have different message types";
        case Errc::no_such_worker: return "no living worker has this id";
        case Errc::no_free_slot: return "no free worker slot";
        case Errc::multithreaded: return "cannot fork: the process has more than one thread";
        case Errc::stopping: return "the cluster is stopping";
        case Errc::bad_endpoint: return "not a valid endpoint";
        case Errc::descriptors_lost: return "descriptors were lost at the descriptor limit";
        case Errc::no_descriptors: return "descriptors cannot be sent this way";
        case Errc::unanswered: return "the call was received but not answered";
        case Errc::queue_full: return "too many calls wait for a worker";
        case Errc::call_failed: return "the handler of the call failed";
        case Errc::setup_failed: return "the worker could not be prepared";
        case Errc::not_ready: return "the new worker did not become ready";
        case Errc::reloading: return "another reload is under way";
        case Errc::canary_failed: return "a new worker failed while it was on trial";
        case Errc::unresponsive: return "the worker's event loop stood still";
        case Errc::not_activated: return "the process was not started with this socket (LISTEN_FDS)";
        case Errc::too_many: return "more than one may have, or leave unread";
        case Errc::no_such_action: return "the master knows no action of this name";
    }
    return "unknown cohort error";
}

} // namespace cohort::detail

namespace cohort {

COHORT_DECL const std::error_category& error_category() noexcept {
    static const detail::ErrorCategory category;
    return category;
}

} // namespace cohort

// SPDX-License-Identifier: MIT
// LeadershipClient: a worker's side of asking its master for roles (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/worker/pending_requests.hpp>
#include <cohort/leadership.hpp>

#include <memory>
#include <string>

namespace cohort::detail {

class LeadershipClient {
public:
    /// `changed` is notified when the link has ended.
    LeadershipClient(std::shared_ptr<WorkerLink> link, Notifier& changed)
        : link_(std::move(link)), requests_(link_, changed) {}

    /// Waits for the role.
    COHORT_LAZY Task<Leadership> lead(std::string role);
    /// Completes a request. An answer that is not waited for any more is dropped: the master has been told.
    void answer(const Elected& message) { requests_.answer(message.request, message); }
    /// Called when this worker is to leave: ends the waits.
    void stop() {
        stopping_ = true;
        requests_.answer_all({});
    }

private:
    static constexpr std::size_t longest_role = 1024;

    std::shared_ptr<WorkerLink> link_;
    PendingRequests<Elected> requests_;
    bool stopping_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/leadership_client.ipp>
#endif

// SPDX-License-Identifier: MIT
// LeadershipClient: a worker's side of asking its master for roles (layer 3).
#pragma once

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
    Task<Leadership> lead(std::string role);
    /// When nobody waits for it any more, the master knows.
    void answer(const Elected& message) { requests_.answer(message.request, message); }
    /// This worker is to leave: whoever waits is told.
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

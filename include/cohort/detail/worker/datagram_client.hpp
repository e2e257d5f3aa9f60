// SPDX-License-Identifier: MIT
// DatagramClient: a worker's side of binding UDP ports through its master (layer 3).
#pragma once

#include <cohort/datagram_socket.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/worker/pending_requests.hpp>

#include <memory>
#include <optional>

namespace cohort::detail {

class DatagramClient {
public:
    /// `changed` is notified when the link has ended.
    DatagramClient(std::shared_ptr<WorkerLink> link, Notifier& changed)
        : link_(std::move(link)), requests_(link_, changed) {}

    COHORT_LAZY Task<DatagramSocket> bind(asio::any_io_executor executor, Endpoint endpoint);
    void answer(const asio::any_io_executor& executor, Bound message, Packet& packet);

private:
    struct Answer {
        Bound bound;
        std::optional<DatagramSocket> socket;
    };

    static Task<> say_farewell(std::shared_ptr<WorkerLink> link, std::uint32_t binding);
    DatagramSocket make_socket(const asio::any_io_executor& executor, const Bound& bound, UniqueFd descriptor) const;

    std::shared_ptr<WorkerLink> link_;
    PendingRequests<Answer> requests_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/datagram_client.ipp>
#endif

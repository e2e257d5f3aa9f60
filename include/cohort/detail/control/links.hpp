// SPDX-License-Identifier: MIT
// MasterLink and WorkerLink: the two ends of the link between a master and one worker (layer 3).
#pragma once

#include <cohort/detail/control/control_link.hpp>
#include <cohort/detail/control/control_message.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace cohort::detail {

/// The master's end.
class MasterLink final : public TypedLink<FromMaster, FromWorker> {
public:
    using TypedLink::TypedLink;

    template <class M>
    bool send(const M& message, std::span<const int> descriptors = {}) {
        if constexpr (std::is_same_v<M, Connections>) lent_ += descriptors.size();
        return TypedLink::send(message, descriptors);
    }
    /// Notes that the worker gives a connection back. False: it has given back all that it got.
    bool take_back() noexcept { return lent_ != 0 && lent_-- != 0; }

    /// The master's copies of connections on their way to this worker, to all of its listeners.
    std::size_t copies() const noexcept { return copies_; }
    void add_copy() noexcept { ++copies_; }
    void drop_copies(std::size_t count) noexcept { copies_ -= count; }

private:
    std::uint64_t lent_ = 0; // connections
    std::size_t copies_ = 0;
};

/// The worker's end.
class WorkerLink final : public TypedLink<FromWorker, FromMaster> {
public:
    using TypedLink::TypedLink;
};

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// RespawnQueue: the slots that wait for their next worker (layer 4).
#pragma once

#include <cohort/detail/process/slots.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <vector>

namespace cohort::detail {

class RespawnQueue {
public:
    using milliseconds = std::chrono::milliseconds;

    struct Owner {
        std::function<void(unsigned slot)> start; ///< throws when that is not possible now
        std::function<void()> looked;             ///< some slots do not wait any more
    };

    /// `again`: how long to wait after a start that was not possible.
    RespawnQueue(asio::io_context& context, Slots& slots, milliseconds again, Owner owner)
        : context_(context), slots_(slots), again_(again), owner_(std::move(owner)) {}
    ~RespawnQueue() { *alive_ = false; }

    /// In this order, one right after the other.
    void later(std::vector<unsigned> slots, milliseconds delay);
    /// It waits no longer.
    void forget(unsigned slot) {
        for (const auto& wait : waits_)
            if (std::erase(wait->slots, slot) != 0 && wait->slots.empty()) wait->timer.cancel();
    }
    /// None does.
    void stop();
    bool is_idle() const noexcept {
        return std::ranges::all_of(waits_, [](const auto& wait) { return wait->slots.empty(); });
    }

private:
    struct Wait {
        asio::steady_timer timer;
        std::vector<unsigned> slots;
    };

    void start(unsigned slot);

    asio::io_context& context_;
    Slots& slots_;
    milliseconds again_;
    Owner owner_;
    std::list<std::shared_ptr<Wait>> waits_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/respawn_queue.ipp>
#endif

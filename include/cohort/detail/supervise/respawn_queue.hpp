// SPDX-License-Identifier: MIT
// RespawnQueue: the slots that wait for their next worker (layer 4).
#pragma once

#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/process/slots.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <list>
#include <vector>

namespace cohort::detail {

/// Starts them again when their time has come; which time that is, the restart policy has said.
class RespawnQueue {
public:
    using milliseconds = std::chrono::milliseconds;

    class Owner {
    public:
        /// Throws std::system_error when that is not possible now.
        virtual void respawn(unsigned slot) = 0;
        /// Slots that waited have been served.
        virtual void on_respawned() = 0;

    protected:
        ~Owner() = default;
    };

    /// `again`: how long to wait after a start that was not possible.
    RespawnQueue(const asio::any_io_executor& executor, Slots& slots, milliseconds again, Owner& owner)
        : executor_(executor), slots_(slots), again_(again), owner_(owner) {}

    /// Respawns the slots after `delay`, in this order, one right after the other.
    void later(std::vector<unsigned> slots, milliseconds delay);
    /// Takes the slot out of the queue.
    void forget(unsigned slot);
    /// Empties the queue.
    void stop() { waits_.clear(); }
    bool is_idle() const noexcept { return waits_.empty(); }

private:
    struct Wait {
        void end() { queue.end_wait(*this); }

        RespawnQueue& queue;
        Timer timer;
        std::vector<unsigned> slots;
    };

    void end_wait(Wait& wait);
    void start(unsigned slot);

    asio::any_io_executor executor_;
    Slots& slots_;
    milliseconds again_;
    Owner& owner_;
    std::list<Wait> waits_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/respawn_queue.ipp>
#endif

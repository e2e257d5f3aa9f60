// SPDX-License-Identifier: MIT
// Respawner: the slots that wait for their next worker (layer 4).
#pragma once

#include <cohort/detail/slots.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <system_error>
#include <vector>

namespace cohort::detail {

/// A slot that nobody wants any more by then, or that has a worker again, is passed over.
class Respawner {
public:
    using milliseconds = std::chrono::milliseconds;

    struct Owner {
        std::function<void(unsigned slot)> start; ///< throws when that is not possible now
        std::function<void()> looked;             ///< some slots do not wait any more
    };

    /// `again`: how long to wait after a start that was not possible.
    Respawner(asio::io_context& context, Slots& slots, milliseconds again, Owner owner)
        : context_(context), slots_(slots), again_(again), owner_(std::move(owner)) {}
    ~Respawner() { *alive_ = false; }

    /// In this order, one right after the other.
    void later(std::vector<unsigned> slots, milliseconds delay);
    bool is_idle() const noexcept { return waits_ == 0; }

private:
    struct Waiting {
        unsigned slot = 0;
        std::weak_ptr<Slot> place; // the number may be another's by then
    };

    void start(const Waiting& waiting);

    asio::io_context& context_;
    Slots& slots_;
    milliseconds again_;
    Owner owner_;
    unsigned waits_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

inline void Respawner::later(std::vector<unsigned> slots, milliseconds delay) {
    std::vector<Waiting> all;
    for (const unsigned slot : slots) {
        slots_[slot].occupied = true;
        all.push_back({slot, slots_.share(slot)});
    }
    ++waits_;
    const auto timer = std::make_shared<asio::steady_timer>(context_, delay);
    timer->async_wait([this, all = std::move(all), timer, alive = alive_](std::error_code) {
        if (!*alive) return;
        --waits_;
        for (const Waiting& waiting : all) start(waiting);
        owner_.looked();
    });
}

inline void Respawner::start(const Waiting& waiting) {
    const auto place = waiting.place.lock();
    if (!place || !place->is_vacant()) return;
    place->occupied = false;
    place->wanted_endpoints = 0; // there is nobody to be like
    if (!place->wanted) return;
    try {
        owner_.start(waiting.slot);
    } catch (const std::system_error& error) {
        std::cerr << "cohort: slot " << waiting.slot << ": " << error.what() << ", trying again" << std::endl;
        later({waiting.slot}, again_);
    }
}

} // namespace cohort::detail

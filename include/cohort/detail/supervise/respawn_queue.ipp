// SPDX-License-Identifier: MIT
// The bodies of respawn_queue.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/respawn_queue.hpp>

#include <cohort/detail/config.hpp>

#include <iostream>
#include <system_error>

namespace cohort::detail {

COHORT_DECL void RespawnQueue::stop() {
    for (const auto& wait : waits_) {
        wait->slots.clear();
        wait->timer.cancel();
    }
}

COHORT_DECL void RespawnQueue::later(std::vector<unsigned> slots, milliseconds delay) {
    for (const unsigned slot : slots) slots_[slot].occupied = true;
    const auto wait = std::make_shared<Wait>(Wait{asio::steady_timer(context_, delay), std::move(slots)});
    waits_.push_back(wait);
    wait->timer.async_wait([this, wait, alive = alive_](std::error_code) {
        if (!*alive) return;
        waits_.remove(wait);
        for (const unsigned slot : wait->slots) start(slot);
        owner_.looked();
    });
}

/// One that has a worker again, or is not wanted any more, is passed over.
COHORT_DECL void RespawnQueue::start(unsigned slot) {
    Slot& place = slots_[slot];
    if (!place.is_vacant()) return;
    place.occupied = false;
    place.wanted_endpoints = 0; // there is nobody to be like
    if (!place.wanted) return;
    try {
        owner_.start(slot);
    } catch (const std::system_error& error) {
        std::cerr << "cohort: slot " << slot << ": " << error.what() << ", trying again" << std::endl;
        later({slot}, again_);
    }
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of distributor.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/distributor.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace cohort::detail {

COHORT_DECL Distributor::Distributor(const DispatchContext& context, const Endpoint& endpoint,
                                     std::unique_ptr<AnyScheduler> scheduler)
    : context_(context),
      endpoint_(endpoint),
      scheduler_(std::move(scheduler)),
      room_(context.executor),
      sweep_(context.executor) {}

COHORT_DECL void Distributor::give_again(TransferredConnection connection) {
    waiting_.push_back(std::move(connection));
    look_again();
}

COHORT_DECL ListenerId Distributor::join(DispatchTarget& target) {
    auto delivery = std::make_unique<Delivery>(context_, target);
    const ListenerId listener = delivery->listener();
    const auto sibling = std::find_if(deliveries_.rbegin(), deliveries_.rend(),
                                      [&](const auto& other) { return other->worker() == target.id; });
    forget_candidates();
    deliveries_.insert(sibling == deliveries_.rend() ? deliveries_.end() : sibling.base(), std::move(delivery));
    // Connections may have been waiting for somebody to come; they go out once the worker knows its listener.
    post(context_.executor, action<&Distributor::look_again>(this, shared_from_this()));
    return listener;
}

COHORT_DECL Delivery* Distributor::find(const DispatchTarget& target, ListenerId listener) const noexcept {
    for (const auto& delivery : deliveries_)
        if (delivery->worker() == target.id && delivery->listener() == listener) return delivery.get();
    return nullptr;
}

COHORT_DECL bool Distributor::has(const DispatchTarget& target) const noexcept {
    return std::ranges::any_of(
        deliveries_, [&](const auto& delivery) { return delivery->worker() == target.id && !delivery->is_retired(); });
}

COHORT_DECL bool Distributor::has_only(const DispatchTarget& target) const noexcept {
    const auto is_another = [&](const auto& delivery) {
        return delivery->worker() != target.id && !delivery->is_retired();
    };
    return has(target) && std::ranges::none_of(deliveries_, is_another);
}

COHORT_DECL bool Distributor::has_workers() const noexcept {
    return std::ranges::any_of(deliveries_, [](const auto& delivery) { return !delivery->is_retired(); });
}

COHORT_DECL Distributor::Held Distributor::held(const DispatchTarget& target) noexcept {
    Held held;
    for (const auto& delivery : deliveries_) {
        if (delivery->worker() != target.id) continue;
        ++held.listeners;
        if (!delivery->is_retired()) continue;
        delivery->release_taken();
        held.left += delivery->copies();
    }
    return held;
}

COHORT_DECL void Distributor::set_stuck(ListenerId listener) {
    for (const auto& delivery : deliveries_)
        if (delivery->listener() == listener) delivery->set_stuck();
}

COHORT_DECL std::uint64_t Distributor::accepted(ListenerId listener) const noexcept {
    for (const auto& delivery : deliveries_)
        if (delivery->listener() == listener) return delivery->accepted();
    return 0;
}

/// Those of the worker whose first one this is.
COHORT_DECL Distributor::Siblings Distributor::siblings_from(std::size_t index) noexcept {
    const WorkerId worker = deliveries_[index]->worker();
    std::size_t end = index + 1;
    while (end < deliveries_.size() && deliveries_[end]->worker() == worker) ++end;
    return Siblings(deliveries_).subspan(index, end - index);
}

COHORT_DECL void Distributor::look_at_deliveries() {
    forget_candidates();
    for (std::size_t i = 0; i < deliveries_.size();) {
        const Siblings siblings = siblings_from(i);
        i += siblings.size();
        std::uint64_t sent = 0;
        bool active = false;
        for (const auto& delivery : siblings) {
            sent += delivery->outstanding();
            if (delivery->is_active()) active = true;
        }
        if (!active) continue;
        candidates_.push_back(siblings.front()->candidate(sent));
        active_.push_back(siblings);
    }
}

/// Of the listeners that get connections now the one with the fewest on their way; among equals, in turn. So one that
/// the worker does not accept from does not get all that the worker may have. `also_inactive`: if there is none, one of
/// the others that are not retired.
COHORT_DECL Delivery* Distributor::next_of(Siblings siblings, bool also_inactive) noexcept {
    auto best = siblings.end();
    auto fewest = std::pair(true, std::numeric_limits<std::uint64_t>::max());
    for (auto one = siblings.begin(); one != siblings.end() && fewest != std::pair(false, std::uint64_t{0}); ++one) {
        if ((*one)->is_retired()) continue;
        const auto has = std::pair(!(*one)->is_active(), (*one)->outstanding());
        if (has >= fewest) continue;
        fewest = has;
        best = one;
    }
    if (best == siblings.end() || (fewest.first && !also_inactive)) return nullptr;
    std::rotate(best, best + 1, siblings.end());
    return siblings.back().get();
}

COHORT_DECL std::size_t Distributor::room() {
    if (waiting_.empty())
        look_at_deliveries();
    else
        place_waiting();
    std::size_t total = 0;
    for (const auto& candidate : candidates_) total += candidate.room;
    const std::size_t most_waiting = candidates_.size() * context_.options.credit;
    return most_waiting > waiting_.size() ? std::min(total, most_waiting - waiting_.size()) : 0;
}

COHORT_DECL Task<> Distributor::wait_room() {
    const auto self = shared_from_this();
    for (const auto& delivery : deliveries_) delivery->ask_to_tell();
    arm_sweep();
    if (room() == 0 && !closed_) co_await room_.wait();
}

/// When the program's scheduler throws, the first one that has room.
COHORT_DECL std::size_t Distributor::choose(const TransferredConnection& connection) {
    try {
        return scheduler_->choose(Arrival(connection.connection.get(), endpoint_), candidates_);
    } catch (...) {
        log_line(LogLevel::warning, "scheduler of " + endpoint_.to_string() + ": " + exception_text());
    }
    const auto has_room = [](const Candidate& candidate) { return candidate.room != 0; };
    return static_cast<std::size_t>(std::ranges::find_if(candidates_, has_room) - candidates_.begin());
}

/// False: the one that was chosen has no room, and the connection stays where it is.
COHORT_DECL bool Distributor::place(TransferredConnection& connection) {
    if (candidates_.empty()) return false;
    const std::size_t index = choose(connection);
    if (index >= candidates_.size() || candidates_[index].room == 0) return false;
    const Siblings siblings = active_[index];
    Delivery* const next = siblings.size() == 1 ? siblings.front().get() : next_of(siblings, false);
    if (next == nullptr) return false;
    --candidates_[index].room;
    ++candidates_[index].sent;
    next->assign(std::move(connection));
    return true;
}

COHORT_DECL void Distributor::give(TransferredConnection connection) {
    if (closed_ || place(connection)) return;
    look_at_deliveries();
    if (!place(connection)) waiting_.push_back(std::move(connection));
}

/// To the workers in turn: who has had one goes to the end of the line.
COHORT_DECL void Distributor::give_last(TransferredConnection connection) {
    forget_candidates();
    for (std::size_t left = deliveries_.size(); left > 0;) {
        const std::size_t count = siblings_from(0).size();
        std::ranges::rotate(deliveries_, deliveries_.begin() + static_cast<std::ptrdiff_t>(count));
        if (Delivery* const next = next_of(siblings_from(deliveries_.size() - count), true))
            return next->assign(std::move(connection));
        left -= count;
    }
}

COHORT_DECL void Distributor::flush() {
    for (const auto& delivery : deliveries_) delivery->flush();
    arm_sweep();
}

COHORT_DECL void Distributor::place_waiting() {
    look_at_deliveries();
    std::size_t room = 0;
    for (const auto& candidate : candidates_) room += candidate.room;
    for (auto& connection : waiting_) {
        if (room == 0) break;
        room -= place(connection) ? 1 : 0;
    }
    std::erase_if(waiting_, [](const TransferredConnection& connection) { return !connection; });
    for (const auto& delivery : deliveries_) delivery->flush();
}

COHORT_DECL bool Distributor::has_room_beside(const Delivery& delivery) const noexcept {
    for (std::size_t i = 0; i < candidates_.size(); ++i)
        if (candidates_[i].worker != delivery.worker() && candidates_[i].room > 0) return true;
    return false;
}

COHORT_DECL void Distributor::look_again() {
    const auto now = std::chrono::steady_clock::now();
    look_at_deliveries();
    for (std::size_t i = deliveries_.size(); i-- > 0;) {
        Delivery& delivery = *deliveries_[i];
        delivery.release_taken();
        if (!closed_ && delivery.is_idle(now, context_.options.stuck_after) && has_room_beside(delivery))
            delivery.take_back_from_stuck(waiting_);
        if (delivery.is_retired() && !delivery.has_copies()) drop(i);
    }
    place_waiting();
    if (closed_ && !has_workers()) waiting_.clear(); // nobody could serve them
    if (closed_ || room() > 0) room_.notify_all();
    arm_sweep();
}

COHORT_DECL void Distributor::drop(std::size_t index) {
    forget_candidates();
    deliveries_.erase(deliveries_.begin() + static_cast<std::ptrdiff_t>(index));
}

COHORT_DECL void Distributor::arm_sweep() {
    const bool wanted = !waiting_.empty() || room_.has_waiters();
    const bool needed = std::ranges::any_of(deliveries_, [wanted](const auto& delivery) {
        return wanted || delivery->has_copies() || delivery->is_behind();
    });
    if (sweep_.is_set() || !needed) return;
    sweep_.expire_after(sweep_interval, action<&Distributor::look_again>(this, shared_from_this()));
}

COHORT_DECL void Distributor::took(const DispatchTarget& target, ListenerId listener) {
    Delivery* const delivery = find(target, listener);
    if (delivery == nullptr) return;
    delivery->revive();
    look_again();
}

COHORT_DECL void Distributor::lost(const DispatchTarget& target, ListenerId listener, std::uint64_t first,
                                   std::uint32_t count) {
    Delivery* const delivery = find(target, listener);
    if (delivery == nullptr) return;
    delivery->take_back_lost(first, count, waiting_);
    look_again();
}

COHORT_DECL void Distributor::retire(const DispatchTarget& target, ListenerId listener) {
    if (Delivery* delivery = find(target, listener)) delivery->retire();
    forget_candidates();
    look_again();
}

COHORT_DECL void Distributor::retire(const DispatchTarget& target) {
    for (const auto& delivery : deliveries_)
        if (delivery->worker() == target.id) delivery->retire();
    forget_candidates();
}

COHORT_DECL void Distributor::leave(const DispatchTarget& target) {
    for (std::size_t i = deliveries_.size(); i-- > 0;) {
        if (deliveries_[i]->worker() != target.id) continue;
        deliveries_[i]->take_back(waiting_);
        drop(i);
    }
    if (closed_) waiting_.clear();
    look_again();
}

COHORT_DECL void Distributor::close() {
    closed_ = true;
    give_waiting();
    flush();
    room_.notify_all();
}

COHORT_DECL void Distributor::abandon() {
    close();
    deliveries_.clear();
    sweep_.cancel();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of delivery.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/delivery.hpp>

#include <cohort/detail/control/links.hpp>
#include <cohort/detail/control/shared_page.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/policy/observed_time.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <array>
#include <span>

namespace cohort::detail {

COHORT_DECL Delivery::Delivery(const DispatchContext& context, const DispatchTarget& target)
    : page_(context.page),
      worker_(target.id),
      slot_(target.slot),
      vitals_(page_.worker(target.cell)),
      listener_(page_.acquire()),
      cell_(page_.cell(target.cell, listener_)),
      credit_(context.options.credit),
      share_(share_of_descriptors()),
      link_(target.link),
      stats_(context.ledger[target.slot]) {
    // The worker may have had another listener of this number.
    cell_.taken.store(0, std::memory_order_relaxed);
    cell_.accepted.store(0, std::memory_order_relaxed);
    cell_.wanted.store(0, std::memory_order_relaxed);
}

COHORT_DECL Delivery::~Delivery() {
    link_->drop_copies(copies_.size());
    page_.release(listener_);
}

COHORT_DECL std::uint64_t Delivery::outstanding() const noexcept {
    // A worker that writes nonsense to its cell must not gain credit by it, nor seem to have had more than it was sent:
    // what waits for flush() would be closed before.
    const std::uint64_t taken = cell_.taken.load(std::memory_order_seq_cst);
    return taken > sent_ - unsent_ ? copies_.size() : std::min<std::uint64_t>(sent_ - taken, copies_.size());
}

COHORT_DECL bool Delivery::is_behind() const noexcept { return !link_->all_sent(); }

COHORT_DECL bool Delivery::is_active() noexcept {
    if (stuck_ && accepted() != accepted_when_stuck_) stuck_ = false;
    if (retired_ || stuck_ || is_behind()) return false;
    return rests_until_ == Clock::time_point{} || rests_until_ <= Clock::now();
}

/// `sent` was read first: one that it takes meanwhile is counted twice, never missed.
COHORT_DECL Candidate Delivery::candidate(std::uint64_t sent) const noexcept {
    const std::uint32_t open = vitals_.open.load(std::memory_order_seq_cst);
    const std::uint32_t limit = vitals_.limit.load(std::memory_order_relaxed);
    const std::uint64_t by_limit = limit > open + sent ? limit - open - sent : 0;
    const std::uint64_t by_credit = credit_ > sent ? credit_ - sent : 0;
    // What it does not take elsewhere leaves it one here.
    const std::uint64_t copies = link_->copies();
    const std::uint64_t by_share = share_ > copies ? share_ - copies : std::uint64_t{sent == 0};
    return {.worker = worker_,
            .slot = slot_,
            .open = open,
            .sent = static_cast<std::uint32_t>(sent),
            .room = static_cast<std::uint32_t>(std::min({by_limit, by_credit, by_share}))};
}

COHORT_DECL void Delivery::assign(TransferredConnection connection) {
    release_taken();
    if (copies_.empty()) moved_ = Clock::now();
    if (state_bytes_ + connection.state.size() > TransferredConnection::max_state) flush();
    state_bytes_ += connection.state.size();
    connection.connection.share();
    copies_.push_back(std::move(connection));
    link_->add_copy();
    ++sent_;
    ++stats_.delivered;
    if (++unsent_ == max_passed) flush();
}

COHORT_DECL void Delivery::flush() {
    if (unsent_ == 0) return;
    std::array<int, max_passed> descriptors{};
    Connections message{listener_, sent_ - unsent_, static_cast<std::uint32_t>(unsent_)};
    const std::size_t begin = copies_.size() - unsent_;
    for (std::size_t i = 0; i < unsent_; ++i) {
        descriptors[i] = copies_[begin + i].connection.get();
        if (state_bytes_ != 0) message.states.push_back(copies_[begin + i].state);
    }
    link_->send(message, std::span<const int>(descriptors).first(unsent_));
    unsent_ = state_bytes_ = 0;
}

COHORT_DECL void Delivery::release_taken() {
    const std::uint64_t taken = copies_.size() - outstanding();
    copies_.erase(copies_.begin(), copies_.begin() + static_cast<std::ptrdiff_t>(taken));
    link_->drop_copies(taken);
}

COHORT_DECL void Delivery::move_copies(std::deque<TransferredConnection>& others) {
    for (auto& copy : copies_) {
        if (!copy) continue;
        others.push_back(std::move(copy));
        ++stats_.redelivered;
    }
    link_->drop_copies(copies_.size());
    copies_.clear();
    unsent_ = state_bytes_ = 0;
}

COHORT_DECL void Delivery::take_back(std::deque<TransferredConnection>& others) {
    release_taken();
    move_copies(others);
}

COHORT_DECL bool Delivery::is_idle(Clock::time_point now, std::chrono::milliseconds time) noexcept {
    const std::uint64_t taken = cell_.taken.load(std::memory_order_seq_cst);
    if (taken != seen_) {
        seen_ = taken;
        moved_ = now;
    }
    return !copies_.empty() && reached(now - moved_, time);
}

COHORT_DECL void Delivery::take_back_from_stuck(std::deque<TransferredConnection>& others) {
    std::uint64_t taken = seen_;
    if (!cell_.taken.compare_exchange_strong(taken, sent_, std::memory_order_seq_cst)) return;
    move_copies(others);
    set_stuck();
}

COHORT_DECL void Delivery::take_back_lost(std::uint64_t first, std::uint32_t count,
                                          std::deque<TransferredConnection>& others) {
    const std::uint64_t oldest = sent_ - copies_.size();
    for (std::uint64_t number = std::max(first, oldest); number < std::min(first + count, sent_); ++number) {
        TransferredConnection& copy = copies_[static_cast<std::size_t>(number - oldest)];
        if (!copy) continue;
        others.push_back(std::move(copy));
        ++stats_.redelivered;
    }
    rests_until_ = Clock::now() + rest_after_loss;
    link_->send(Forgotten{listener_, first, count});
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// A timer wheel: many deadlines that are cheap to move, in ticks of the wheel's owner (layer 1).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace cohort::http::detail {

/// A hashed timing wheel (G. Varghese and T. Lauck, "Hashed and hierarchical timing wheels", SOSP 1987), lazy: a
/// deadline that moves to later, as those of a busy connection do with every request, is only stored, and the entry is
/// relinked when the wheel reaches its old slot. A tick costs the entries of one slot, not all there are.
class TimerWheel {
    struct Link {
        Link* next = this;
        Link* previous = this;

        Link() = default;
        Link(const Link&) = delete;
        Link& operator=(const Link&) = delete;

        void unlink() noexcept {
            next->previous = previous;
            previous->next = next;
            next = previous = this;
        }
        void append(Link& link) noexcept {
            link.next = this;
            link.previous = previous;
            previous->next = &link;
            previous = &link;
        }
        /// Takes the place of `other` in its list, which leaves `other` unlinked.
        void replace(Link& other) noexcept {
            other.append(*this);
            other.unlink();
        }
    };

public:
    static constexpr std::uint64_t never = UINT64_MAX;

    /// What has a deadline. It leaves the wheel before it is destroyed.
    class Entry : private Link {
    public:
        std::uint64_t deadline() const noexcept { return deadline_; }
        bool listed() const noexcept { return next != this; }

    private:
        friend TimerWheel;
        std::uint64_t deadline_ = never;
        std::uint64_t visit_ = never; ///< the tick at which the wheel comes to it
    };

    std::uint64_t now() const noexcept { return now_; }
    std::size_t size() const noexcept { return size_; }

    void add(Entry& entry) noexcept {
        ++size_;
        put(entry);
    }
    void remove(Entry& entry) noexcept {
        if (!entry.listed()) return;
        entry.unlink();
        --size_;
    }

    /// Of an entry that was added or will be.
    void set_deadline(Entry& entry, std::uint64_t tick) noexcept {
        entry.deadline_ = tick;
        if (tick >= entry.visit_ || !entry.listed()) return;
        entry.unlink();
        put(entry);
    }

    /// The next tick: `expired` is called once for each entry whose deadline it is, which has none then.
    template <class F>
    void advance(F expired) {
        ++now_;
        Link due;
        due.replace(slots_[now_ % slots_.size()]);
        while (due.next != &due) {
            Entry& entry = static_cast<Entry&>(*due.next);
            const bool is_expired = entry.deadline_ <= now_;
            if (is_expired) entry.deadline_ = never;
            entry.unlink();
            put(entry);
            if (is_expired) expired(entry);
        }
    }

    /// `visit` may remove the entry it is given.
    template <class F>
    void for_each(F visit) {
        for (Link& slot : slots_)
            for (Link* at = slot.next; at != &slot;) {
                Entry& entry = static_cast<Entry&>(*at);
                at = at->next;
                visit(entry);
            }
    }

private:
    void put(Entry& entry) noexcept {
        const std::uint64_t soonest = std::max(entry.deadline_, now_ + 1);
        entry.visit_ = std::min(soonest, now_ + slots_.size());
        slots_[entry.visit_ % slots_.size()].append(entry);
    }

    std::array<Link, 256> slots_;
    std::uint64_t now_ = 0;
    std::size_t size_ = 0;
};

} // namespace cohort::http::detail

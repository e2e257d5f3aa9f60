// SPDX-License-Identifier: MIT
// A ring of bytes in memory that two processes share: one writes, the other reads (layer 1).
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>

namespace cohort::detail {

/// What the two sides know of each other; all zero at the beginning. Each word is alone on its cache line, so that a
/// side that only looks whether the other sleeps shares no line with what the other changes all the time.
struct RingHeader {
    /// How many bytes were ever written. The writer's.
    alignas(64) std::atomic<std::uint64_t> written{0};
    /// How many bytes were ever read. The reader's.
    alignas(64) std::atomic<std::uint64_t> read{0};
    /// Set by the side that is going to wait for a doorbell, cleared by the side that rings it.
    alignas(64) std::atomic<std::uint32_t> reader_sleeps{0};
    alignas(64) std::atomic<std::uint32_t> writer_sleeps{0};
};
static_assert(sizeof(RingHeader) == 256);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

/// For a loop that waits for the other side: lets a sibling thread of the processor go ahead.
inline void pause_processor() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/// What both sides have: their own index, which they believe, and a copy of the other's, which they check.
///
/// The doorbell: one side stores its index and then loads the other's flag; the other stores its flag and then loads
/// the index. A store may pass a later load, on x86 as well, and then each misses what the other did and the sleeper
/// sleeps for ever. A sequentially consistent fence between store and load on both sides excludes that: whichever fence
/// comes second, the load behind it sees the store before the first. Without the fence a side may look only if it looks
/// again, with one, before it sleeps itself; so it belongs behind a burst of writes or reads, not behind each.
class RingEnd {
public:
    /// The other side's index made no sense. Nothing is written or read any more.
    bool broken() const noexcept { return broken_; }

protected:
    RingEnd(std::span<std::byte> data) : data_(data) {
        if (!std::has_single_bit(data.size()))
            throw std::invalid_argument("cohort: the size of a ring is a power of 2");
    }

    /// Calls `copy(in_ring, done, count)` for the one or two pieces in which `size` bytes from `index` lie.
    template <class Copy>
    void in_pieces(std::uint64_t index, std::size_t size, Copy copy) const noexcept {
        const std::size_t at = static_cast<std::size_t>(index) & (data_.size() - 1);
        const std::size_t first = std::min(size, data_.size() - at);
        copy(data_.data() + at, 0, first);
        if (first != size) copy(data_.data(), first, size - first);
    }

    static bool is_set(const std::atomic<std::uint32_t>& flag) noexcept {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return flag.load(std::memory_order_relaxed) != 0;
    }
    static bool clear(std::atomic<std::uint32_t>& flag) noexcept {
        return flag.exchange(0, std::memory_order_relaxed) != 0;
    }
    static void set(std::atomic<std::uint32_t>& flag) noexcept {
        flag.store(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
    }

    std::span<std::byte> data_;
    std::uint64_t written_ = 0;
    std::uint64_t read_ = 0;
    bool broken_ = false;
};

/// The writing side. There is one, and it was there from the first byte.
class RingWriter : public RingEnd {
public:
    /// The size of `data` is a power of two; it and the header outlive this object.
    RingWriter(RingHeader& header, std::span<std::byte> data) : RingEnd(data), header_(header) {}

    /// Copies what fits and publishes it to the reader, all at once. Returns the number of bytes.
    std::size_t write(std::span<const std::byte> bytes) noexcept {
        if (room() < bytes.size()) look();
        const std::size_t size = broken_ ? 0 : std::min(room(), bytes.size());
        if (size == 0) return 0;
        in_pieces(written_, size, [&](std::byte* in_ring, std::size_t done, std::size_t count) {
            std::memcpy(in_ring, bytes.data() + done, count);
        });
        written_ += size;
        header_.written.store(written_, std::memory_order_release);
        return size;
    }

    bool has_room() noexcept {
        if (room() == 0) look();
        return !broken_ && room() != 0;
    }

    /// After writing, before turning to anything else: whether the reader sleeps and is to be woken. Says so once.
    [[nodiscard]] bool wants_doorbell() noexcept {
        return is_set(header_.reader_sleeps) && clear(header_.reader_sleeps);
    }

    /// Before waiting for a doorbell: false when there is room already, or when the ring is broken. A doorbell may
    /// still come after that.
    [[nodiscard]] bool may_sleep() noexcept {
        set(header_.writer_sleeps);
        look();
        if (!broken_ && room() == 0) return true;
        clear(header_.writer_sleeps);
        return false;
    }

private:
    std::size_t room() const noexcept { return data_.size() - static_cast<std::size_t>(written_ - read_); }

    /// The reader can only have gone forward, and no further than what was written.
    void look() noexcept {
        const std::uint64_t read = header_.read.load(std::memory_order_acquire);
        if (read - read_ > written_ - read_) broken_ = true;
        if (!broken_) read_ = read;
    }

    RingHeader& header_;
};

/// The reading side. There is one, and it was there from the first byte.
class RingReader : public RingEnd {
public:
    /// The size of `data` is a power of two; it and the header outlive this object.
    RingReader(RingHeader& header, std::span<std::byte> data) : RingEnd(data), header_(header) {}

    /// Copies the available bytes, as many as fit in `out`, and frees their room, all at once. Returns the number of
    /// bytes. The writer cannot change the copy.
    std::size_t read(std::span<std::byte> out) noexcept {
        if (unread() < out.size()) look();
        const std::size_t size = broken_ ? 0 : std::min(unread(), out.size());
        if (size == 0) return 0;
        in_pieces(read_, size, [&](const std::byte* in_ring, std::size_t done, std::size_t count) {
            std::memcpy(out.data() + done, in_ring, count);
        });
        read_ += size;
        header_.read.store(read_, std::memory_order_release);
        return size;
    }

    bool has_bytes() noexcept {
        if (unread() == 0) look();
        return broken_ || unread() != 0;
    }

    /// After reading, before turning to anything else: whether the writer waits for room and is to be woken. Says so
    /// once, and only when half of the ring is free, so that the writer is not woken for every few bytes.
    [[nodiscard]] bool wants_doorbell() noexcept {
        if (!is_set(header_.writer_sleeps)) return false;
        look();
        return !broken_ && unread() <= data_.size() / 2 && clear(header_.writer_sleeps);
    }

    /// Before waiting for a doorbell: false when there is something to read already, or when the ring is broken. A
    /// doorbell may still come after that.
    [[nodiscard]] bool may_sleep() noexcept {
        set(header_.reader_sleeps);
        look();
        if (!broken_ && unread() == 0) return true;
        clear(header_.reader_sleeps);
        return false;
    }

private:
    std::size_t unread() const noexcept { return static_cast<std::size_t>(written_ - read_); }

    /// The writer can only have gone forward, and no further than the ring is long.
    void look() noexcept {
        const std::uint64_t written = header_.written.load(std::memory_order_acquire);
        if (written - read_ < written_ - read_ || written - read_ > data_.size()) broken_ = true;
        if (!broken_) written_ = written;
    }

    RingHeader& header_;
};

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of shared_memory_transport.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/shared_memory_transport.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/error.hpp>

#include <algorithm>
#include <array>
#include <bit>

namespace cohort::detail {

COHORT_DECL UniqueFd make_ring_memory(std::size_t size) {
    UniqueFd memory = make_memfd("cohort-rings", sizeof(RingPair) + 2 * size);
    reserve(memory.get(), sizeof(RingPair) + 2 * size);
    seal(memory.get(), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return memory;
}

COHORT_DECL void SharedMemoryTransport::adopt(int memory, bool is_maker) {
    if (!is_maker && !keeps_size(memory, 0)) throw std::system_error(make_error_code(Errc::bad_frame));
    const std::size_t size = size_of(memory);
    const std::size_t ring_size = (size - std::min(size, sizeof(RingPair))) / 2;
    if (!is_maker && ring_size > largest_ring_) throw std::system_error(make_error_code(Errc::bad_frame));
    const bool fits = std::has_single_bit(ring_size) && sizeof(RingPair) + 2 * ring_size == size;
    if (!fits || !keeps_size(memory, size)) throw std::system_error(make_error_code(Errc::bad_frame));
    memory_ = Mapping::map(memory, size, true);
    auto& rings = *reinterpret_cast<RingPair*>(memory_.bytes().data());
    const auto first = memory_.bytes().subspan(sizeof(RingPair), ring_size);
    const auto second = memory_.bytes().subspan(sizeof(RingPair) + ring_size);
    writer_.emplace(is_maker ? rings.from_maker : rings.to_maker, is_maker ? first : second);
    reader_.emplace(is_maker ? rings.to_maker : rings.from_maker, is_maker ? second : first);
}

COHORT_DECL void SharedMemoryTransport::make(std::size_t ring_size) {
    const UniqueFd memory = make_ring_memory(ring_size);
    const int number = memory.get();
    adopt(number, true);
    if (!ring(std::span(&number, 1))) throw_last_error("send");
}

/// Whether the memory is there.
COHORT_DECL bool SharedMemoryTransport::is_ready() {
    if (writer_) return true;
    take_bells();
    if (arrived_.empty()) return false;
    // Invalid memory stays at the front, so that every later call fails, too.
    const auto& descriptors = arrived_.front().descriptors;
    if (descriptors.size() != 1) throw std::system_error(make_error_code(Errc::bad_frame));
    adopt(descriptors.front().get(), false);
    arrived_.pop_front();
    if (reader_waits_) socket().cancel(); // it waits for a bell, but could not say so in the ring
    return true;
}

/// Writes a byte to the socket to wake the other side. If the socket is full, unread bytes do that already.
COHORT_DECL bool SharedMemoryTransport::ring(std::span<const int> descriptors) noexcept {
    constexpr std::byte bell{1};
    return Transport::write(std::span(&bell, 1), descriptors) == 1;
}

COHORT_DECL ssize_t SharedMemoryTransport::write(std::span<const std::byte> bytes,
                                                 std::span<const int> descriptors) noexcept {
    try {
        if (!is_ready()) return refuse(EAGAIN);
    } catch (const std::exception&) {
        return refuse(EPROTO);
    }
    // Descriptors go first, so that they are there when their frame is; they go only if some of the frame can follow.
    if (!descriptors.empty() && !writer_->has_room()) return refuse(writer_->broken() ? EPROTO : EAGAIN);
    if (!descriptors.empty() && !ring(descriptors)) return -1;
    const std::size_t count = writer_->write(bytes);
    if (writer_->broken()) return refuse(EPROTO);
    if (count == 0) return refuse(is_cut_off() ? EPIPE : EAGAIN);
    if (writer_->wants_doorbell()) ring({});
    return static_cast<ssize_t>(count);
}

COHORT_DECL ssize_t SharedMemoryTransport::read(std::span<std::byte> room, std::list<Passed>& passed) {
    if (!is_ready()) return ended_ ? 0 : refuse(EAGAIN);
    if (std::exchange(slept_, false)) take_bells();
    std::size_t count = reader_->read(room);
    if (count == 0 && !ended_) {
        take_bells();
        count = reader_->read(room); // what was written before the end
    }
    if (reader_->broken()) throw std::system_error(make_error_code(Errc::bad_frame));
    if (reader_->wants_doorbell()) ring({});
    passed.splice(passed.end(), arrived_);
    if (count == 0 && !ended_) return refuse(EAGAIN);
    return static_cast<ssize_t>(count);
}

COHORT_DECL void SharedMemoryTransport::collect(std::list<Passed>& passed) {
    take_bells();
    passed.splice(passed.end(), arrived_);
}

COHORT_DECL bool SharedMemoryTransport::take_bells() {
    constexpr unsigned most = 1024; // what is left wakes this side again
    std::array<std::byte, 256> bells;
    const auto is_full = [this] {
        std::size_t held = 0;
        for (const Passed& set : arrived_) held += set.count;
        return held >= max_descriptors;
    };
    bool more = true;
    for (unsigned i = 0; more && i < most && !is_full(); ++i) {
        const std::size_t sets = arrived_.size();
        const ssize_t count = receive(bells, arrived_);
        if (count < 0 && errno == EINTR) continue;
        if (count == 0 || (count < 0 && !would_block(errno))) ended_ = true;
        // The bell may have been for the writer, whose wait would not see it any more.
        if (count >= 0 && std::exchange(writer_waits_, false)) socket().cancel();
        // One call returns no bytes beyond those that came with descriptors.
        more = count >= static_cast<ssize_t>(bells.size()) || arrived_.size() != sets;
    }
    return !is_full();
}

COHORT_DECL bool SharedMemoryTransport::may_wait_to_read() noexcept {
    if (!reader_) return reader_waits_ = true;
    if (spin_ > Duration::zero()) {
        const auto deadline = std::chrono::steady_clock::now() + spin_;
        do {
            for (int i = 0; i < 64; ++i) {
                if (reader_->has_bytes()) return false;
                pause_processor();
            }
        } while (std::chrono::steady_clock::now() < deadline);
    }
    slept_ = reader_waits_ = reader_->may_sleep();
    return slept_;
}

COHORT_DECL void SharedMemoryTransport::wait_writable(Action then) {
    writer_waits_ = false;
    // A pending bell may be for this side's sleeping reader: it is then left, and wakes both.
    const bool all_taken = reader_waits_ || take_bells();
    const bool waits = writer_ ? writer_->may_sleep() : arrived_.empty();
    if (!waits || is_cut_off()) return post(socket().get_executor(), std::move(then));
    if (!ended_ && all_taken) {
        writer_waits_ = true;
        return socket().when_readable(std::move(then));
    }
    // The other side has shut down its direction, so no more bells will come, or they are not looked for: poll instead.
    retry_.expire_after(std::chrono::milliseconds(1), std::move(then));
}

COHORT_DECL bool SharedMemoryTransport::wait_writable_now(std::chrono::milliseconds timeout) noexcept {
    if (is_cut_off()) return false;
    if (writer_ && !writer_->may_sleep()) return true;
    pollfd bell{socket().get(), POLLIN, 0};
    ::poll(&bell, 1, static_cast<int>(std::min(timeout, std::chrono::milliseconds(1)).count()));
    return true;
}

} // namespace cohort::detail

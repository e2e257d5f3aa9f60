// SPDX-License-Identifier: MIT
// FrameQueue: frames that are not the kernel's yet, and the descriptors that leave with them (layer 3).
#pragma once

#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/serialize/buffer.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <utility>
#include <vector>

namespace cohort::detail {

/// The frames lie one behind the other, so that one call of the transport takes many. When to write is not decided
/// here.
class FrameQueue {
public:
    explicit FrameQueue(std::size_t max_length) noexcept : max_length_(max_length) {}

    bool empty() const noexcept { return bytes_.empty(); }
    std::size_t size() const noexcept { return bytes_.size(); }

    /// Appends a frame whose payload `fill(Buffer&, std::vector<int>&)` appends, and the descriptors that are to travel
    /// with it; they are copied at once. Throws what fill throws, Errc::message_too_large and EMFILE; then nothing was
    /// appended.
    template <class Fill>
    void append(FrameKind kind, std::uint64_t correlation, Fill&& fill);

    /// Hands the transport what one call may carry, and drops what it took. Gives what Transport::write gives.
    ssize_t write(Transport& transport) noexcept;

    void clear() noexcept {
        bytes_.clear();
        attached_.clear();
    }
    /// Gives the memory back when it is empty and has more than `keep`.
    void shrink(std::size_t keep) noexcept { bytes_.shrink(keep); }

private:
    /// Descriptors that leave with the byte at this position of the stream.
    struct Attached {
        std::uint64_t position;
        std::vector<UniqueFd> descriptors;
    };

    void attach(std::size_t size_before);
    ssize_t write_up_to_descriptors(Transport& transport) noexcept;

    std::size_t max_length_;
    Buffer bytes_;
    std::vector<int> passing_; // by the frame that is being made
    std::deque<Attached> attached_;
    std::uint64_t taken_by_kernel_ = 0; // position of the first byte here
};

template <class Fill>
void FrameQueue::append(FrameKind kind, std::uint64_t correlation, Fill&& fill) {
    const std::size_t size_before = bytes_.size();
    FrameHeader header{.kind = kind, .correlation = correlation};
    passing_.clear();
    append_frame(bytes_, header, max_length_, [&](Buffer& out) {
        fill(out, passing_);
        header.descriptors = static_cast<std::uint16_t>(passing_.size());
    });
    if (!passing_.empty()) attach(size_before);
}

/// The sender may close its own copies as soon as append() has returned.
inline void FrameQueue::attach(std::size_t size_before) {
    try {
        Attached attached{taken_by_kernel_ + size_before, {}};
        attached.descriptors.reserve(passing_.size());
        for (const int fd : passing_) attached.descriptors.push_back(duplicate(fd));
        attached_.push_back(std::move(attached));
    } catch (...) {
        bytes_.truncate(size_before);
        throw;
    }
}

inline ssize_t FrameQueue::write(Transport& transport) noexcept {
    const ssize_t count = attached_.empty() ? transport.write(bytes_.bytes(), {}) : write_up_to_descriptors(transport);
    if (count <= 0) return count;
    taken_by_kernel_ += static_cast<std::uint64_t>(count);
    bytes_.consume(static_cast<std::size_t>(count));
    return count;
}

/// One call carries the descriptors of one frame, whose header is its first byte: so each set arrives apart, and the
/// kernel's bound for one call holds.
inline ssize_t FrameQueue::write_up_to_descriptors(Transport& transport) noexcept {
    const Attached& next = attached_.front();
    if (next.position != taken_by_kernel_)
        return transport.write(bytes_.bytes().first(static_cast<std::size_t>(next.position - taken_by_kernel_)), {});
    std::array<int, max_descriptors> numbers;
    const std::size_t count = next.descriptors.size();
    for (std::size_t i = 0; i < count; ++i) numbers[i] = next.descriptors[i].get();
    const std::size_t size =
        attached_.size() > 1 ? static_cast<std::size_t>(attached_[1].position - next.position) : bytes_.size();
    const ssize_t sent = transport.write(bytes_.bytes().first(size), std::span(numbers).first(count));
    if (sent > 0) attached_.pop_front();
    return sent;
}

} // namespace cohort::detail

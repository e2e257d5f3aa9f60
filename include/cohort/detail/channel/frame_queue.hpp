// SPDX-License-Identifier: MIT
// FrameQueue: frames not yet handed to the kernel, and the descriptors sent with them (layer 3).
#pragma once

#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include <sys/types.h>

namespace cohort::detail {

class Transport;

/// The frames lie one behind the other, so that one call of the transport takes many. When to write is not decided
/// here.
class FrameQueue {
public:
    explicit FrameQueue(std::size_t max_length) noexcept : max_length_(max_length) {}

    bool empty() const noexcept { return bytes_.empty(); }
    std::size_t size() const noexcept { return bytes_.size(); }
    /// Positions in the stream, of the first byte that is queued and behind the last.
    std::uint64_t begin() const noexcept { return taken_by_kernel_; }
    std::uint64_t end() const noexcept { return taken_by_kernel_ + size(); }

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
    std::vector<int> passing_; // descriptors of the frame being built
    std::list<Attached> attached_;
    std::uint64_t taken_by_kernel_ = 0; // stream position of the first queued byte
};

/// A frame that was appended to a FrameQueue.
struct QueuedFrame {
    std::uint64_t end = 0; ///< position in the stream
    std::size_t size = 0;
};

/// How many bytes of certain frames are queued still; at most, if others lie between them.
class QueuedBytes {
public:
    /// Of no consequence if the kernel has taken the frame.
    void add(const FrameQueue& queue, QueuedFrame frame) noexcept {
        if (frame.end <= queue.begin()) return;
        bytes_ = count(queue) + frame.size;
        end_ = std::max(end_, frame.end);
    }
    std::size_t count(const FrameQueue& queue) const noexcept {
        if (end_ <= queue.begin()) return 0;
        return std::min({bytes_, queue.size(), static_cast<std::size_t>(end_ - queue.begin())});
    }

private:
    std::size_t bytes_ = 0;
    std::uint64_t end_ = 0; // of the last of them
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

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/frame_queue.ipp>
#endif

// SPDX-License-Identifier: MIT
// FrameQueue: frames not yet handed to the kernel, and the descriptors sent with them (layer 3).
#pragma once

#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/detail/system/unique_fd.hpp>

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

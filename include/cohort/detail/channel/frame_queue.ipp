// SPDX-License-Identifier: MIT
// The bodies of frame_queue.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/frame_queue.hpp>

#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/config.hpp>

#include <array>
#include <span>
#include <utility>

namespace cohort::detail {

/// The sender may close its own copies as soon as append() has returned.
COHORT_DECL void FrameQueue::attach(std::size_t size_before) {
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

COHORT_DECL ssize_t FrameQueue::write(Transport& transport) noexcept {
    const ssize_t count = attached_.empty() ? transport.write(bytes_.bytes(), {}) : write_up_to_descriptors(transport);
    if (count <= 0) return count;
    taken_by_kernel_ += static_cast<std::uint64_t>(count);
    bytes_.consume(static_cast<std::size_t>(count));
    return count;
}

/// One call carries the descriptors of one frame only, and begins with its header: so each set arrives separately,
/// within the kernel's limit for one call.
COHORT_DECL ssize_t FrameQueue::write_up_to_descriptors(Transport& transport) noexcept {
    const Attached& next = attached_.front();
    if (next.position != taken_by_kernel_)
        return transport.write(bytes_.bytes().first(static_cast<std::size_t>(next.position - taken_by_kernel_)), {});
    std::array<int, max_descriptors> numbers;
    const std::size_t count = next.descriptors.size();
    for (std::size_t i = 0; i < count; ++i) numbers[i] = next.descriptors[i].get();
    const std::size_t size = attached_.size() > 1
                                 ? static_cast<std::size_t>(std::next(attached_.begin())->position - next.position)
                                 : bytes_.size();
    const ssize_t sent = transport.write(bytes_.bytes().first(size), std::span(numbers).first(count));
    if (sent > 0) attached_.pop_front();
    return sent;
}

} // namespace cohort::detail

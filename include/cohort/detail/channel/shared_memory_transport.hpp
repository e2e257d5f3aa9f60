// SPDX-License-Identifier: MIT
// SharedMemoryTransport: bytes through rings in memory that both sides map; a socket for the rest (layer 3).
#pragma once

#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/channel/ring.hpp>
#include <cohort/detail/channel/stream_limits.hpp>
#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/system/memfd.hpp>

#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <utility>

namespace cohort::detail {

/// What both sides know of the memory: a ring for each direction, the first for bytes of the side that made it.
struct RingPair {
    RingHeader from_maker;
    RingHeader to_maker;
};

/// Two rings of `size` bytes, a power of two, in memory whose size nobody can change.
UniqueFd make_ring_memory(std::size_t size);

/// Bytes are copied out of the ring before they are examined, and the ring's indices are checked, so a crashed or
/// malicious peer can corrupt only what it sends itself. The socket passes the memory, wakes a sleeping side, carries
/// descriptors, and closes when the other process ends.
class SharedMemoryTransport final : public Transport {
public:
    using Duration = std::chrono::steady_clock::duration;

    /// Until the memory is there nothing can be written. Rings of the other side's may be four times as large as those
    /// of this one's limits.
    SharedMemoryTransport(const asio::any_io_executor& executor, UniqueFd socket, const StreamLimits& limits)
        : Transport(executor, std::move(socket)),
          retry_(executor),
          spin_(limits.spin),
          largest_ring_(4 * limits.ring_size) {}

    /// Maps the memory, created by this side or by the other.
    void adopt(int memory, bool is_maker);
    /// Makes the memory and sends it to the other side.
    void make(std::size_t ring_size);

    COHORT_DECL ssize_t write(std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept override;
    /// What the nearest cache holds.
    std::size_t write_size() const noexcept override { return std::size_t{16} << 10; }
    COHORT_DECL ssize_t read(std::span<std::byte> room, std::list<Passed>& passed) override;
    COHORT_DECL void collect(std::list<Passed>& passed) override;
    COHORT_DECL bool may_wait_to_read() noexcept override;
    void waited_to_read() noexcept override { reader_waits_ = false; }
    COHORT_DECL void wait_writable(Action then) override;
    COHORT_DECL bool wait_writable_now(std::chrono::milliseconds timeout) noexcept override;

private:
    static ssize_t refuse(int error) noexcept {
        errno = error;
        return -1;
    }
    bool is_ready();
    bool ring(std::span<const int> descriptors) noexcept;
    /// False: as many descriptors as one side may send ahead have come and are not taken; bells behind them are left.
    bool take_bells();

    Timer retry_;
    Mapping memory_;
    std::optional<RingWriter> writer_;
    std::optional<RingReader> reader_;
    std::list<Passed> arrived_;
    Duration spin_;
    std::size_t largest_ring_;
    bool slept_ = false; // a bell has probably come
    bool reader_waits_ = false;
    bool writer_waits_ = false; // for a bell
    bool ended_ = false;        // the socket is at its end
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/shared_memory_transport.ipp>
#endif

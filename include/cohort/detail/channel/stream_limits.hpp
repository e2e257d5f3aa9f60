// SPDX-License-Identifier: MIT
// What a channel may hold and accept, as plain data (layer 1).
#pragma once

#include <chrono>
#include <cstddef>

namespace cohort::detail {

struct StreamLimits {
    std::size_t max_length = std::size_t{16} << 20;  ///< bytes of one message, both ways
    std::size_t high_water = std::size_t{128} << 10; ///< bytes queued for writing beyond which senders wait
    /// Bytes of unreceived messages beyond which reading stops, even if a call waits for its reply.
    std::size_t unreceived = std::size_t{1} << 20;
    /// Bytes of answers that the other side has not read, beyond which its further calls and acked messages wait
    /// (16 times as many while a call of this side waits, too; then the channel ends with Errc::too_many); and of calls
    /// and acked messages that were given up before it has read them, beyond which there are no more.
    std::size_t unread_answers = std::size_t{4} << 20;
    /// SharedMemory: bytes of the ring for each direction, a power of two.
    std::size_t ring_size = std::size_t{256} << 10;
    /// SharedMemory: how long a receiver spins, blocking its thread, before it sleeps. Saves system calls, costs a CPU.
    std::chrono::microseconds spin{0};
};

} // namespace cohort::detail

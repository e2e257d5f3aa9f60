// SPDX-License-Identifier: MIT
// A worker that was taken over: what it says to its master goes past the library, as it likes.
#pragma once

#include "cluster.hpp"

#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/control/control_message.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/detail/worker/worker_core.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace test {

/// The two sockets between a worker and its master, without the library. Nothing is read from them, and sending never
/// waits for more than a moment.
class Hostile {
public:
    explicit Hostile(WorkerBase& self);
    Hostile(int control, int channel) noexcept : control_(control), channel_(channel) {}

    /// False: there was no room, or the master is gone (ended()).
    bool send_control(std::span<const std::byte> bytes, std::span<const int> descriptors = {});
    bool send_channel(std::span<const std::byte> bytes, std::span<const int> descriptors = {});
    /// However long that takes. False: nobody is there.
    bool send_whole(std::span<const std::byte> bytes);
    bool ended() const noexcept { return ended_; }

    template <class M>
    bool tell(const M& message, std::span<const int> descriptors = {}) {
        detail::Buffer bytes;
        detail::encode_message(message, bytes);
        return send_control(bytes.bytes(), descriptors);
    }
    /// Reads and drops what has come.
    void read_answers();

    int control() const noexcept { return control_; }
    int channel() const noexcept { return channel_; }

private:
    bool send(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors);

    int control_;
    int channel_;
    bool ended_ = false;
};

/// A frame with this payload, or one that only says so.
std::vector<std::byte> frame(detail::FrameKind kind, std::uint64_t correlation, std::span<const std::byte> payload = {},
                             std::uint16_t descriptors = 0);

/// Resident memory of this process in bytes (proc(5), statm).
std::int64_t resident();

} // namespace test

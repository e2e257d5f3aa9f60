// SPDX-License-Identifier: MIT
// Transport: what carries the bytes and descriptors of a FrameStream; this one is a stream socket (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/channel/passed.hpp>
#include <cohort/detail/config.hpp>

#include <chrono>
#include <list>
#include <span>
#include <system_error>

#include <sys/types.h>

namespace cohort::detail {

/// A Unix stream socket. Other transports derive from it: they keep the socket, for descriptors, for waking the other
/// side, and because it closes when the other process ends.
class Transport {
public:
    Transport(const asio::any_io_executor& executor, UniqueFd socket) : socket_(executor, std::move(socket)) {}
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;
    virtual ~Transport() = default;

    /// Returns the number of bytes accepted, at least one; the descriptors, still owned by the caller, go with the
    /// first. -1 with errno set when none were: after EAGAIN use wait_writable().
    COHORT_DECL virtual ssize_t write(std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept;
    /// The number of bytes from which waiting for more before writing does not pay.
    virtual std::size_t write_size() const noexcept { return std::size_t{64} << 10; }
    /// How many bytes came, 0 at the end; -1 with errno set: EAGAIN when there are none now. Descriptors come with the
    /// first byte of their frame or before it, and are put behind those in `passed`.
    COHORT_DECL virtual ssize_t read(std::span<std::byte> room, std::list<Passed>& passed);

    /// Brings in descriptors that have come already, although read() has not been asked since.
    virtual void collect(std::list<Passed>&) {}
    /// Call before waiting for the socket to be readable. False: there is something to read already.
    virtual bool may_wait_to_read() noexcept { return true; }
    /// That wait is over.
    virtual void waited_to_read() noexcept {}
    /// Calls `then` once, when more can be written or the wait was cancelled.
    COHORT_DECL virtual void wait_writable(Action then);
    /// Blocks the process in the same way for at most `timeout`. False: nothing changed.
    COHORT_DECL virtual bool wait_writable_now(std::chrono::milliseconds timeout) noexcept;
    /// Nothing more will be written; the other side sees the end behind what was.
    COHORT_DECL virtual void end_writing() noexcept;

    /// How many bytes of the socket have arrived and have not been read; not of a ring, which no worker has.
    std::size_t unread() const noexcept;
    /// The other side has closed both directions, or its process is gone.
    bool is_cut_off() const noexcept;

    AsyncFd& socket() noexcept { return socket_; }
    const AsyncFd& socket() const noexcept { return socket_; }

protected:
    ssize_t receive(std::span<std::byte> room, std::list<Passed>& passed);

private:
    AsyncFd socket_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/transport.ipp>
#endif

// SPDX-License-Identifier: MIT
// A connection that speaks another protocol from now on (layer 1).
#pragma once

#include <cohort/task.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace cohort {

class Socket;

namespace http {

namespace detail {

/// The server's side of such a connection.
class UpgradedStream {
public:
    virtual Task<std::optional<std::string_view>> read() = 0;
    virtual Task<> write(std::string_view bytes) = 0;
    virtual bool draining() const noexcept = 0;
    virtual Task<> until_draining() = 0;
    virtual Socket release(std::string& received) = 0;

protected:
    ~UpgradedStream() = default;
};

} // namespace detail

/// Given to the Takeover of a connection after `101 Switching Protocols` (RFC 9110 section 7.8). Valid until that
/// returns, which closes the connection; none of HTTP's timeouts apply to reading. One coroutine may read while another
/// writes; both must have ended when it returns.
class Upgraded {
public:
    explicit Upgraded(detail::UpgradedStream& stream) noexcept : stream_(&stream) {}

    /// The next bytes, at least one, first those that came right behind the request. Nothing at end of file, and once
    /// when the server is stopping (draining() tells which): the server's grace period is then left to say goodbye, and
    /// reading still works. The view is valid until the next read. Throws std::system_error when the connection breaks.
    Task<std::optional<std::string_view>> read() { return stream_->read(); }

    /// Returns when the kernel has taken the bytes. Throws std::system_error when the client is gone or takes nothing
    /// for ServerOptions::write_timeout.
    Task<> write(std::string_view bytes) { return stream_->write(bytes); }

    /// The server is to stop.
    bool draining() const noexcept { return stream_->draining(); }
    /// Returns when it is, for a coroutine that waits for something else than read().
    [[nodiscard]] Task<> until_draining() { return stream_->until_draining(); }

    /// The socket itself, to be read and written in another way, and in `received` what was read from it already. It
    /// counts as a connection of its worker until it is destroyed, but http::serve does not wait for it. No read or
    /// write may be pending; read() and write() fail from now on. Throws std::logic_error for a TLS connection.
    Socket release(std::string& received);

private:
    detail::UpgradedStream* stream_;
};

/// Speaks the other protocol. Called after the handler has ended, whose timeout does not apply to it. What it throws
/// ends the connection and is logged, but for std::system_error: connections break.
using Takeover = std::function<Task<>(Upgraded&)>;

} // namespace http
} // namespace cohort

// SPDX-License-Identifier: MIT
// NotifySocket: what a process says to its service manager, sd_notify(3) (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <system_error>

#include <sys/socket.h>
#include <sys/un.h>

namespace cohort::detail {

/// What a service manager has put into the environment.
struct ServiceEnvironment {
    std::string address{};                 // NOTIFY_SOCKET; empty: nobody listens
    std::chrono::microseconds watchdog{0}; // within which it wants to hear of this process; 0: it does not
};

/// Removes it from the environment: neither workers nor the programs that they execute speak for the service. So the
/// first to ask has it, and nobody after.
ServiceEnvironment take_service_environment();

/// In a child that is to become the service: puts back what was taken.
void restore_service_environment();

/// Datagrams of lines NAME=value. Whoever reads them may be slow, or gone.
class NotifySocket {
public:
    /// "/path", or "@name" for an abstract one (unix(7)). Of anything else a line on standard error tells, and nothing
    /// is sent; an empty one means that nobody listens.
    explicit NotifySocket(const std::string& address);

    explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
    /// Never waits. A descriptor may go with it.
    std::error_code send(std::string_view state, int descriptor = -1) const noexcept;

private:
    UniqueFd socket_;
    sockaddr_un address_{};
    socklen_t length_ = 0;
};

/// Of send(): also where nobody is there any more. False: there is no room now.
bool has_taken(const std::error_code& error) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/notify_socket.ipp>
#endif

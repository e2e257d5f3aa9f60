// SPDX-License-Identifier: MIT
// The bodies of notify_socket.hpp (layer 2).
#pragma once

#include <cohort/detail/system/notify_socket.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/printable.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::string take_variable(const char* name) {
    const char* const value = std::getenv(name);
    std::string text = value == nullptr ? "" : value;
    ::unsetenv(name);
    return text;
}

/// 0: it is none.
COHORT_DECL std::int64_t positive_number(std::string_view text) noexcept {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? std::max<std::int64_t>(number, 0) : 0;
}

COHORT_DECL ServiceEnvironment& taken_service_environment() {
    static ServiceEnvironment taken;
    return taken;
}

COHORT_DECL ServiceEnvironment take_service_environment() {
    ServiceEnvironment found;
    found.address = take_variable("NOTIFY_SOCKET");
    const std::string process = take_variable("WATCHDOG_PID"); // sd_watchdog_enabled(3)
    const std::string interval = take_variable("WATCHDOG_USEC");
    if (process.empty() || positive_number(process) == ::getpid())
        found.watchdog = std::chrono::microseconds(positive_number(interval));
    if (!found.address.empty()) taken_service_environment() = found;
    return found;
}

COHORT_DECL void restore_service_environment() {
    const ServiceEnvironment& taken = taken_service_environment();
    if (taken.address.empty()) return;
    ::setenv("NOTIFY_SOCKET", taken.address.c_str(), 1);
    if (taken.watchdog.count() == 0) return;
    ::setenv("WATCHDOG_USEC", std::to_string(taken.watchdog.count()).c_str(), 1);
    ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
}

COHORT_DECL NotifySocket::NotifySocket(const std::string& address) {
    if (address.empty()) return;
    const bool is_abstract = address.front() == '@';
    const bool fits = address.size() > 1 && address.size() < sizeof address_.sun_path;
    if (!fits || (!is_abstract && address.front() != '/')) {
        log_line(LogLevel::warning, "NOTIFY_SOCKET is no path and no abstract name: " + printable(address));
        return;
    }
    address_.sun_family = AF_UNIX;
    std::ranges::copy(address, address_.sun_path);
    if (is_abstract) address_.sun_path[0] = '\0';
    length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size() + (is_abstract ? 0 : 1));
    socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_) log_line(LogLevel::warning, "NOTIFY_SOCKET: " + last_error().message());
}

COHORT_DECL bool has_taken(const std::error_code& error) noexcept {
    return !would_block(error.value()) && !is_kernel_limit(error.value());
}

COHORT_DECL std::error_code NotifySocket::send(std::string_view state, int descriptor) const noexcept {
    if (!socket_) return {};
    sockaddr_un to = address_;
    SocketMessage message(std::as_bytes(std::span(state)), std::span(&descriptor, descriptor < 0 ? 0 : 1));
    message.get()->msg_name = &to;
    message.get()->msg_namelen = length_;
    while (System::current().sendmsg(socket_.get(), message.get()) < 0)
        if (errno != EINTR) return last_error();
    return {};
}

} // namespace cohort::detail

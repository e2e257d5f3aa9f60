// SPDX-License-Identifier: MIT
// The bodies of service_notifier.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/service_notifier.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <thread>
#include <utility>

namespace cohort::detail {

/// Of CLOCK_MONOTONIC: whoever asks for a reload can tell whether this one began before that.
COHORT_DECL std::string monotonic_microseconds() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::to_string(std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000);
}

COHORT_DECL ServiceNotifier::ServiceNotifier(const asio::any_io_executor& executor, bool follows, Owner& owner)
    : ServiceNotifier(executor, follows, owner, take_service_environment()) {}

COHORT_DECL ServiceNotifier::ServiceNotifier(const asio::any_io_executor& executor, bool follows, Owner& owner,
                                             const ServiceEnvironment& environment)
    : socket_(environment.address),
      watchdog_(environment.watchdog),
      owner_(owner),
      voice_(follows ? Voice::waits : Voice::speaks),
      tell_later_(executor),
      watchdog_timer_(executor),
      again_(executor) {}

COHORT_DECL void ServiceNotifier::begin() {
    if (socket_ && voice_ == Voice::speaks && watchdog_.count() != 0 && !watchdog_timer_.is_set()) keep_alive();
    changed();
}

/// Half of it, as sd_watchdog_enabled(3) advises; a longer pause than an hour nobody needs.
COHORT_DECL void ServiceNotifier::keep_alive() {
    say("WATCHDOG=1");
    constexpr std::chrono::microseconds shortest = std::chrono::milliseconds(1);
    constexpr std::chrono::microseconds longest = std::chrono::hours(1);
    watchdog_timer_.expire_after(std::clamp(watchdog_ / 2, shortest, longest),
                                 action<&ServiceNotifier::keep_alive>(this));
}

COHORT_DECL void ServiceNotifier::changed() {
    if (socket_ && voice_ == Voice::speaks && !tell_later_.is_set())
        tell_later_.expire_after(std::chrono::milliseconds(300), action<&ServiceNotifier::tell_status>(this));
}

COHORT_DECL std::string ServiceNotifier::status() const {
    std::string text = describe(owner_.count_workers(), stopping_);
    if (!failure_.empty() && !stopping_) text += "; " + failure_;
    return "STATUS=" + text;
}

/// Not those that a master at its end has closed: connections that come until the next one is there wait.
COHORT_DECL void ServiceNotifier::keep_listeners() {
    if (!socket_ || voice_ != Voice::speaks || !ready_ || stopping_) return;
    if (!owner_.keep_listeners(socket_)) changed();
}

COHORT_DECL void ServiceNotifier::tell_status() {
    keep_listeners();
    if (std::string now = status(); now != told_) say(std::move(now));
}

COHORT_DECL void ServiceNotifier::become_ready() {
    if (std::exchange(ready_, true) || stopping_) return;
    keep_listeners();
    say("READY=1\n" + status());
}

COHORT_DECL void ServiceNotifier::begin_change() {
    if (ready_ && !stopping_) say("RELOADING=1\nMONOTONIC_USEC=" + monotonic_microseconds());
}

COHORT_DECL void ServiceNotifier::end_change(std::string failure) {
    failure_ = printable(failure);
    if (ready_ && !stopping_) say("READY=1\n" + status());
}

COHORT_DECL void ServiceNotifier::stop() {
    if (!std::exchange(stopping_, true)) say("STOPPING=1\n" + status());
}

/// All in one datagram: what this process says after it is not listened to any more.
COHORT_DECL void ServiceNotifier::hand_over(pid_t successor) {
    const std::string process = std::to_string(successor);
    say("MAINPID=" + process + "\nREADY=1\nSTATUS=process " + process + " has taken over");
    voice_ = Voice::ended;
    tell_later_.cancel();
    watchdog_timer_.cancel();
}

COHORT_DECL void ServiceNotifier::take_over() {
    if (voice_ != Voice::waits) return;
    voice_ = Voice::speaks;
    keep_listeners();
    if (ready_) say("READY=1\n" + status());
    begin();
}

/// What a service manager has not been told about the next master would have it end that one, too.
COHORT_DECL void ServiceNotifier::finish() {
    constexpr std::chrono::milliseconds pause{10};
    constexpr int attempts = 300;
    try_again();
    for (int left = attempts; left > 0 && voice_ == Voice::ended && !unsent_.empty(); --left) {
        std::this_thread::sleep_for(pause);
        try_again();
    }
    tell_later_.cancel();
    watchdog_timer_.cancel();
    again_.cancel();
}

/// STATUS that has not been taken is told again when something changes, WATCHDOG when its time has come; the others are
/// kept, in their order.
COHORT_DECL void ServiceNotifier::say(std::string state) {
    if (!socket_ || voice_ != Voice::speaks) return;
    constexpr std::size_t most = 16;
    if (unsent_.empty() && deliver(state)) {
        if (const auto at = state.find("STATUS="); at != state.npos) told_ = state.substr(at);
        return;
    }
    if (state.starts_with("STATUS=")) return changed();
    if (state.starts_with("WATCHDOG=")) return;
    if (unsent_.size() == most) unsent_.pop_front();
    unsent_.push_back(std::move(state));
    if (!again_.is_set())
        again_.expire_after(std::chrono::milliseconds(100), action<&ServiceNotifier::try_again>(this));
}

/// Also when nobody is there any more; false: there is no room.
COHORT_DECL bool ServiceNotifier::deliver(const std::string& state) const noexcept {
    return has_taken(socket_.send(state));
}

COHORT_DECL void ServiceNotifier::try_again() {
    while (!unsent_.empty() && deliver(unsent_.front())) unsent_.pop_front();
    if (!unsent_.empty())
        again_.expire_after(std::chrono::milliseconds(100), action<&ServiceNotifier::try_again>(this));
}

} // namespace cohort::detail

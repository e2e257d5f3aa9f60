// SPDX-License-Identifier: MIT
// The bodies of old_master.hpp (layer 4).
#pragma once

#include <cohort/detail/upgrade/old_master.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/system/signals.hpp>

#include <asio/this_coro.hpp>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include <poll.h>

namespace cohort::detail {

COHORT_DECL std::optional<int> take_upgrade_from_environment() {
    const char* const text = std::getenv(upgrade_variable);
    if (text == nullptr) return std::nullopt;
    const std::string_view number(text);
    int descriptor = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), descriptor);
    const bool is_number = error == std::errc{} && end == number.data() + number.size();
    ::unsetenv(upgrade_variable);
    disregard_commands();
    release_signals(command_signals);
    if (!is_number || ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) return std::nullopt;
    return descriptor;
}

COHORT_DECL std::unique_ptr<OldMaster> OldMaster::take(const asio::any_io_executor& executor) {
    const auto descriptor = std::exchange(pending_upgrade, std::nullopt);
    return descriptor ? std::make_unique<OldMaster>(executor, UniqueFd(*descriptor)) : nullptr;
}

COHORT_DECL OldMaster::OldMaster(const asio::any_io_executor& executor, UniqueFd link)
    : link_(share<Link>(executor, std::move(link))) {}

COHORT_DECL std::optional<int> pending_upgrade = take_upgrade_from_environment();

COHORT_DECL void OldMaster::take(Packet& packet, Inheritance& inheritance) {
    if (packet.descriptors.empty()) return;
    UniqueFd& descriptor = packet.descriptors.front();
    if (packet.holds<ControlTransfer>())
        inheritance.control = {packet.read<ControlTransfer>().path, std::move(descriptor)};
    if (packet.holds<PidFileTransfer>())
        inheritance.pid_file = {packet.read<PidFileTransfer>().path, std::move(descriptor)};
    if (!packet.holds<SocketTransfer>()) return;
    auto transfer = packet.read<SocketTransfer>();
    (transfer.datagrams ? inheritance.datagrams : inheritance.listeners)
        .add(std::move(transfer.requested), transfer.slot, std::move(descriptor));
}

COHORT_DECL Inheritance OldMaster::receive() {
    Inheritance inheritance;
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline) {
        auto packet = link_->try_receive();
        if (!packet && link_->ended()) throw std::system_error(make_error_code(Errc::closed), "the master before");
        if (!packet) {
            pollfd arrival{link_->native_handle(), POLLIN, 0};
            ::poll(&arrival, 1, 100);
            continue;
        }
        if (packet->holds<SocketsTransferred>()) {
            endpoints_ = packet->read<SocketsTransferred>().endpoints;
            return inheritance;
        }
        take(*packet, inheritance);
    }
    throw std::system_error(ETIMEDOUT, std::system_category(), "the master before");
}

COHORT_DECL Task<> OldMaster::receive_connections(std::weak_ptr<bool> alive, OldMaster& self, const Heir& heir) {
    const auto link = self.link_;
    asio::steady_timer pause(co_await asio::this_coro::executor);
    try {
        while (auto packet = co_await link->receive()) {
            if (alive.expired()) co_return;
            if (packet->holds<ConnectionTransfer>() && !packet->descriptors.empty()) {
                auto transfer = packet->read<ConnectionTransfer>();
                heir.take(transfer, std::move(packet->descriptors.front()));
            }
            if (packet->holds<HandedOver>()) heir.take_over();
            while (!alive.expired() && !heir.has_room()) {
                pause.expires_after(std::chrono::milliseconds(1));
                co_await until_expired(pause);
            }
        }
    } catch (const std::system_error&) {
        // The old master is gone, or sent an invalid message.
    }
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of listener_store.hpp (layer 4).
#pragma once

#include <cohort/detail/upgrade/listener_store.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/activation.hpp>
#include <cohort/serialize.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <span>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

inline constexpr std::string_view hex_digits = "0123456789abcdef";

/// The endpoint as bytes in hexadecimal: what makes two of them equal does not all stand in their text.
COHORT_DECL std::string stored_name(const Endpoint& requested, unsigned slot) {
    constexpr std::size_t longest = 255;
    Buffer encoded;
    encode(requested, encoded);
    std::string name = std::string(stored_prefix) + std::to_string(slot) + "-";
    for (const std::byte byte : encoded.bytes()) {
        const auto value = std::to_integer<unsigned>(byte);
        name += {hex_digits[value >> 4], hex_digits[value & 15]};
    }
    return name.size() <= longest ? name : std::string();
}

COHORT_DECL std::optional<std::pair<Endpoint, unsigned>> parse_stored_name(std::string_view name) noexcept try {
    if (!name.starts_with(stored_prefix)) return std::nullopt;
    name.remove_prefix(stored_prefix.size());
    std::pair<Endpoint, unsigned> found;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), found.second);
    name.remove_prefix(static_cast<std::size_t>(rest - name.data()));
    if (error != std::errc{} || !name.starts_with('-') || name.size() % 2 == 0) return std::nullopt;
    name.remove_prefix(1);
    std::vector<std::byte> encoded;
    for (std::size_t i = 0; i != name.size(); i += 2) {
        const auto high = hex_digits.find(name[i]);
        const auto low = hex_digits.find(name[i + 1]);
        if (high == hex_digits.npos || low == hex_digits.npos) return std::nullopt;
        encoded.push_back(static_cast<std::byte>(high << 4 | low));
    }
    if (decode(std::span(std::as_const(encoded)), found.first)) return std::nullopt;
    return found;
} catch (...) {
    return std::nullopt;
}

COHORT_DECL bool is_kept(const Options& options, const Endpoint& requested) {
    return options.fd_store && requested.is_tcp() && std::ranges::count(options.listen, requested) != 0;
}

COHORT_DECL bool is_listening(int socket) noexcept {
    int listens = 0;
    socklen_t size = sizeof listens;
    return ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

COHORT_DECL void end_listening(int socket) noexcept { ::shutdown(socket, SHUT_RD); } // tcp(7)

COHORT_DECL ino_t inode_of(int descriptor) noexcept {
    struct stat file {};
    return ::fstat(descriptor, &file) == 0 ? file.st_ino : 0;
}

COHORT_DECL void ListenerStore::take(const Wanted& wanted, TransferredListeners& into) {
    static pid_t taken_by = 0; // once in a process: the numbers may be those of other descriptors afterwards
    if (std::exchange(taken_by, ::getpid()) == ::getpid()) return;
    const Activation passed = activation_from_environment();
    std::string_view rest = passed.names;
    for (int position = 0; position < passed.count && !rest.empty(); ++position) {
        const std::string_view name = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        if (!name.starts_with(stored_prefix)) continue;
        const int descriptor = Activation::first_descriptor + position;
        kept_.emplace(name, inode_of(descriptor));
        if (!is_listening(descriptor)) continue;
        UniqueFd listener(descriptor);
        const auto stored = parse_stored_name(name); // not by a version that writes endpoints in another way
        if (!stored || !wanted(stored->first)) {
            end_listening(descriptor);
            continue;
        }
        ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
        into.add(stored->first, stored->second, std::move(listener));
    }
}

COHORT_DECL void ListenerStore::note_former(const TransferredListeners& passed) {
    for (const auto& each : passed.all())
        former_.emplace(stored_name(each.requested, each.slot), inode_of(each.listener.get()));
    former_.erase("");
}

COHORT_DECL bool ListenerStore::remove(Names& kept, const std::map<std::string, int>& wanted,
                                       const NotifySocket& manager) {
    for (auto each = kept.begin(); each != kept.end();) {
        const auto found = wanted.find(each->first);
        if (found != wanted.end() && inode_of(found->second) == each->second) {
            ++each;
            continue;
        }
        if (!has_taken(manager.send("FDSTOREREMOVE=1\nFDNAME=" + each->first))) return false;
        each = kept.erase(each);
    }
    return true;
}

/// FDPOLL: a worker that has the socket may end its listening, which does not end it for the next one. One that is kept
/// already the manager knows by its file, so that what the former master has sent may be sent again.
COHORT_DECL bool ListenerStore::keep(const std::vector<OpenListener>& open, const NotifySocket& manager) {
    std::map<std::string, int> wanted;
    for (const OpenListener& each : open)
        if (std::string name = stored_name(each.requested, each.slot); !name.empty())
            wanted.emplace(std::move(name), each.descriptor);
    if (!remove(kept_, wanted, manager) || !remove(former_, wanted, manager)) return false;
    for (const auto& [name, descriptor] : wanted) {
        if (kept_.contains(name)) continue;
        if (!has_taken(manager.send("FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, descriptor))) return false;
        kept_.emplace(name, inode_of(descriptor));
    }
    return true;
}

} // namespace cohort::detail

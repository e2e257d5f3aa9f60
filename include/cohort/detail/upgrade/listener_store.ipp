// SPDX-License-Identifier: MIT
// The bodies of listener_store.hpp (layer 4).
#pragma once

#include <cohort/detail/upgrade/listener_store.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/activation.hpp>
#include <cohort/detail/socket/socket_address.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <system_error>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::string stored_name(const Endpoint& requested, unsigned slot) {
    std::string name = std::string(stored_prefix) + std::to_string(slot) + "-" + requested.to_string();
    std::ranges::replace(name, ':', ';');
    return name;
}

COHORT_DECL std::optional<std::pair<Endpoint, unsigned>> parse_stored_name(std::string_view name) noexcept try {
    if (!name.starts_with(stored_prefix)) return std::nullopt;
    name.remove_prefix(stored_prefix.size());
    unsigned slot = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), slot);
    name.remove_prefix(static_cast<std::size_t>(rest - name.data()));
    if (error != std::errc{} || !name.starts_with('-')) return std::nullopt;
    std::string endpoint(name.substr(1));
    std::ranges::replace(endpoint, ';', ':');
    return std::pair(Endpoint(endpoint), slot);
} catch (...) {
    return std::nullopt;
}

COHORT_DECL bool ListenerStore::is_kept(const Endpoint& requested) const {
    return options_.fd_store && requested.is_tcp() && std::ranges::count(options_.listen, requested) != 0;
}

/// For everybody who has it open, the service manager, too.
COHORT_DECL void end_listening(int socket) noexcept { ::shutdown(socket, SHUT_RD); }

COHORT_DECL ino_t inode_of(int descriptor) noexcept {
    struct stat file {};
    return ::fstat(descriptor, &file) == 0 ? file.st_ino : 0;
}

/// What the options do not name ends before anything is opened: it could be in the way of that. What the mode has no
/// use for ends then. Either would have clients wait for ever.
COHORT_DECL void ListenerStore::prepare(Dispatcher& dispatcher, TransferredListeners& former, bool is_upgrade) {
    if (is_upgrade) {
        note(former);
        return dispatcher.prepare();
    }
    take(former);
    dispatcher.prepare();
    former.end();
}

COHORT_DECL void ListenerStore::take(TransferredListeners& into) {
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
        if (!is_enabled(descriptor, SOL_SOCKET, SO_ACCEPTCONN)) continue; // a worker has ended its listening
        UniqueFd listener(descriptor);
        const auto stored = parse_stored_name(name);
        if (!stored || !is_kept(stored->first)) {
            end_listening(descriptor);
            continue;
        }
        ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
        into.add(stored->first, stored->second, std::move(listener));
    }
}

COHORT_DECL void ListenerStore::note(const TransferredListeners& former) {
    for (const auto& each : former.all())
        if (each.requested.is_tcp())
            former_.emplace(stored_name(each.requested, each.slot), inode_of(each.listener.get()));
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
        if (is_kept(each.requested)) wanted.emplace(stored_name(each.requested, each.slot), each.descriptor);
    if (!remove(kept_, wanted, manager) || !remove(former_, wanted, manager)) return false;
    for (const auto& [name, descriptor] : wanted) {
        if (kept_.contains(name)) continue;
        if (!has_taken(manager.send("FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, descriptor))) return false;
        kept_.emplace(name, inode_of(descriptor));
    }
    return true;
}

} // namespace cohort::detail

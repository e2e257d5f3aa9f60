// SPDX-License-Identifier: MIT
// ListenerStore: listening sockets that a service manager keeps while no master is there (layer 4).
#pragma once

#include <cohort/detail/socket/transferred_listeners.hpp>
#include <cohort/detail/system/notify_socket.hpp>
#include <cohort/mode.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace cohort::detail {

/// By what name a listener is kept: whose it is stands in it. Empty: it would be longer than sd_notify(3) allows.
std::string stored_name(const Endpoint& requested, unsigned slot);
std::optional<std::pair<Endpoint, unsigned>> parse_stored_name(std::string_view name) noexcept;
/// Whether the manager is to keep a listener of this endpoint. The file of a Unix socket goes with its master, and what
/// workers ask for may close at any time.
bool is_kept(const Options& options, const Endpoint& requested);
/// For everybody who has it open, the service manager, too.
void end_listening(int socket) noexcept;

/// The file descriptor store: sd_notify(3), FDSTORE=1; systemd.service(5), FileDescriptorStoreMax=.
class ListenerStore {
public:
    using Wanted = std::function<bool(const Endpoint&)>;

    /// Takes what the manager has kept and passed, sd_listen_fds(3); the first one to ask in a process has it. What is
    /// not wanted does not listen any more, in whatever process.
    void take(const Wanted& wanted, TransferredListeners& into);
    /// What a master of before this upgrade has passed, it may have had kept.
    void note_former(const TransferredListeners& passed);
    /// Has the manager keep these, and none of those that it has kept before. False: it has no room for the message
    /// now; to be called again.
    bool keep(const std::vector<OpenListener>& open, const NotifySocket& manager);

private:
    using Names = std::map<std::string, ino_t>; // which socket

    /// False: there is no room for the message.
    static bool remove(Names& kept, const std::map<std::string, int>& wanted, const NotifySocket& manager);

    Names kept_;
    Names former_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/upgrade/listener_store.ipp>
#endif

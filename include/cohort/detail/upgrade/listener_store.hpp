// SPDX-License-Identifier: MIT
// ListenerStore: listening sockets that a service manager keeps while no master is there (layer 4).
#pragma once

#include <cohort/detail/socket/transferred_listeners.hpp>
#include <cohort/detail/system/notify_socket.hpp>
#include <cohort/mode.hpp>

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

/// The file descriptor store: sd_notify(3), FDSTORE=1; systemd.service(5), FileDescriptorStoreMax=.
class ListenerStore {
public:
    /// Takes what the manager has kept and passed, sd_listen_fds(3). A socket that does not listen any more, or the
    /// file of which has gone, is closed.
    void take(TransferredListeners& into);
    /// Has the manager keep these, and none of those that it has kept before. False: it has no room for the message
    /// now; to be called again.
    bool keep(const std::vector<OpenListener>& open, const NotifySocket& manager);

private:
    std::map<std::string, ino_t> kept_; // by name: which socket
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/upgrade/listener_store.ipp>
#endif

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

/// By what name a TCP listener is kept: "cohort-0-127.0.0.1;8080". sd_notify(3) allows no colons.
std::string stored_name(const Endpoint& requested, unsigned slot);
std::optional<std::pair<Endpoint, unsigned>> parse_stored_name(std::string_view name) noexcept;

/// Options::fd_store: the file descriptor store of sd_notify(3), FDSTORE=1; systemd.service(5),
/// FileDescriptorStoreMax=. TCP listeners of Options::listen are kept: the file of a Unix socket goes with its master,
/// and what workers ask for may close at any time.
class ListenerStore {
public:
    explicit ListenerStore(const Options& options) : options_(options) {}

    /// Has the dispatcher open Options::listen, with what the manager has kept and passed (sd_listen_fds(3); once in a
    /// process), or the master before an upgrade, in `former`. What was kept and is not used does not listen any more,
    /// in whatever process. Throws what Dispatcher::prepare() does.
    void prepare(Dispatcher& dispatcher, TransferredListeners& former, bool is_upgrade);
    /// Has the manager keep what is open of those it is to keep, and nothing else. False: it has no room for the
    /// message now; to be called again.
    bool keep(const std::vector<OpenListener>& open, const NotifySocket& manager);

private:
    using Names = std::map<std::string, ino_t>; // which socket

    bool is_kept(const Endpoint& requested) const;
    void take(TransferredListeners& into);
    void note(const TransferredListeners& former);
    /// False: there is no room for the message.
    static bool remove(Names& kept, const std::map<std::string, int>& wanted, const NotifySocket& manager);

    const Options& options_;
    Names kept_;
    Names former_; // which the master before an upgrade may have had kept
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/upgrade/listener_store.ipp>
#endif

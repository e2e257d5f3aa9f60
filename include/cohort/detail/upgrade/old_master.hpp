// SPDX-License-Identifier: MIT
// OldMaster: the master that this one replaces, which goes on until this one is ready (layer 4).
#pragma once

#include <cohort/detail/control/control_link.hpp>
#include <cohort/detail/socket/transferred_listeners.hpp>
#include <cohort/detail/upgrade/upgrade_message.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cohort::detail {

inline constexpr const char* upgrade_variable = "COHORT_UPGRADE";

/// The descriptor of the link, from the environment, which is cleared at once. From then on signals that are meant for
/// the old master, too, do nothing here.
std::optional<int> take_upgrade_from_environment();

/// Of a program that was started to replace a master: until its own Master takes it up. Read before main().
extern std::optional<int> pending_upgrade;

/// What the master before had at a path; empty: nothing.
struct TransferredFile {
    std::string path{};
    UniqueFd descriptor{};
};

/// All that a master leaves to the next one before that has workers.
struct Inheritance {
    TransferredListeners listeners{};
    TransferredListeners datagrams{};
    TransferredFile control{};
    TransferredFile pid_file{};
};

class OldMaster {
public:
    /// The old master that started this process, the first time it is asked for; null otherwise.
    static std::unique_ptr<OldMaster> take(const asio::any_io_executor& executor);

    OldMaster(const asio::any_io_executor& executor, UniqueFd link);
    OldMaster(const OldMaster&) = delete;
    OldMaster& operator=(const OldMaster&) = delete;
    ~OldMaster() { close(); }
    void close() noexcept { link_->close(); }

    /// Blocks until all is here. Throws what the link does, and ETIMEDOUT.
    Inheritance receive();
    /// How many endpoints its worker of this slot shares.
    unsigned endpoints(unsigned slot) const noexcept { return slot < endpoints_.size() ? endpoints_[slot] : 0; }
    /// Tells it, once, that the workers here are ready, so that its own may leave.
    void tell_ready() {
        if (!std::exchange(told_, true)) link_->send(NewMasterReady{});
    }
    /// What this master does with what comes from there.
    struct Heir {
        std::function<void(ConnectionTransfer&, UniqueFd)> take;
        std::function<bool()> has_room;
        std::function<void()> take_over; // HandedOver, or it has gone
    };
    /// The connections that its workers give back, until it has gone; no more than there is room for.
    static Task<> receive_connections(std::weak_ptr<bool> alive, OldMaster& self, const Heir& heir);

private:
    using Link = TypedLink<FromNewMaster, FromOldMaster>;

    static void take(Packet& packet, Inheritance& inheritance);

    static constexpr std::chrono::seconds patience{10};

    std::shared_ptr<Link> link_;
    std::vector<std::uint32_t> endpoints_;
    bool told_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/upgrade/old_master.ipp>
#endif

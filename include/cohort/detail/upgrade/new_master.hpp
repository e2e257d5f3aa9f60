// SPDX-License-Identifier: MIT
// NewMaster: the program started anew to replace this master, seen from here (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/control/control_link.hpp>
#include <cohort/detail/system/fork.hpp>
#include <cohort/detail/upgrade/old_master.hpp>
#include <cohort/detail/upgrade/upgrade_message.hpp>
#include <cohort/reload.hpp>
#include <cohort/timeout.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace cohort::detail {

/// Started with the arguments and the surroundings of this process; it gets what is sent with give().
class NewMaster : public std::enable_shared_from_this<NewMaster> {
public:
    /// Throws what fork_process() and socketpair(2) say.
    static std::shared_ptr<NewMaster> launch(const asio::any_io_executor& executor);

    NewMaster(const asio::any_io_executor& executor, Process process, UniqueFd link);
    NewMaster(const NewMaster&) = delete;
    NewMaster& operator=(const NewMaster&) = delete;

    pid_t pid() const noexcept { return pid_; }
    /// False: it has ended.
    bool signal(int number) const noexcept { return !status_ && !send_signal(pidfd_.get(), number); }
    template <class M>
    bool give(const M& message, int descriptor = -1) {
        return link_->send(message, std::span<const int>(&descriptor, descriptor < 0 ? 0 : 1));
    }
    void pass_on(const Endpoint& endpoint, std::string state, UniqueFd connection) {
        link_->send_with(ConnectionTransfer{endpoint, std::move(state)}, std::move(connection));
    }
    /// How many connections wait for the other side to read.
    std::size_t waiting() const noexcept { return link_->kept(); }
    /// Sends what has not been sent, for `patience` at most, and stops watching the process.
    void leave_alone(Timeout patience) noexcept;

    /// Until it has said that it is ready, has ended, or the time is over. Then `report` says why it is none.
    static Task<> until_ready(std::shared_ptr<NewMaster> self, Timeout timeout, ReloadReport& report);
    /// The upgrade has failed: whoever waits for the new master gets this error.
    void fail(std::error_code error) {
        if (!error_) error_ = error;
        changed_.notify_all();
    }
    /// Asks it to end, and kills it when it has not after that time.
    static Task<> end(std::shared_ptr<NewMaster> self, Timeout grace);
    void kill() noexcept;

private:
    using Link = TypedLink<FromOldMaster, FromNewMaster>;

    [[noreturn]] static void become_master(int link);
    static Task<> hear(std::shared_ptr<NewMaster> self);
    static Task<> await_exit(std::shared_ptr<NewMaster> self);
    void expire_after(Timeout time);
    void be_late();

    pid_t pid_;
    AsyncFd pidfd_;
    std::shared_ptr<Link> link_;
    Notifier changed_;
    Timer timer_;
    std::error_code error_;
    std::optional<ExitStatus> status_;
    bool ready_ = false;
    bool late_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/upgrade/new_master.ipp>
#endif

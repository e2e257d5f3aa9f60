// SPDX-License-Identifier: MIT
// NewMaster: the program started anew to replace this master, seen from here (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/control/control_link.hpp>
#include <cohort/detail/system/fork.hpp>
#include <cohort/detail/upgrade/old_master.hpp>
#include <cohort/detail/upgrade/upgrade_message.hpp>
#include <cohort/reload.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace cohort::detail {

/// Started with the arguments and the surroundings of this process; it gets what is sent with give().
class NewMaster : public std::enable_shared_from_this<NewMaster> {
public:
    /// Throws what fork_process() and socketpair(2) say.
    static std::shared_ptr<NewMaster> launch(const asio::any_io_executor& executor) {
        auto [mine, its] = make_socketpair(SOCK_SEQPACKET);
        Process process = fork_process();
        if (process.pid == 0) become_master(its.get());
        return std::make_shared<NewMaster>(executor, std::move(process), std::move(mine));
    }

    NewMaster(const asio::any_io_executor& executor, Process process, UniqueFd link)
        : pid_(process.pid),
          pidfd_(executor, std::move(process.pidfd)),
          link_(std::make_shared<Link>(executor, std::move(link))),
          changed_(executor),
          timer_(executor) {}
    NewMaster(const NewMaster&) = delete;
    NewMaster& operator=(const NewMaster&) = delete;

    pid_t pid() const noexcept { return pid_; }
    bool give(const FromOldMaster& message, int descriptor = -1) {
        return link_->send(message, std::span<const int>(&descriptor, descriptor < 0 ? 0 : 1));
    }
    void pass_on(const Endpoint& endpoint, std::string state, UniqueFd connection) {
        link_->send_with(ConnectionTransfer{endpoint, std::move(state)}, std::move(connection));
    }
    /// How many connections wait for the other side to read.
    std::size_t waiting() const noexcept { return link_->kept(); }
    /// Sends what has not been sent, for so long at most; then it is no business of this process any more.
    void leave_alone(std::chrono::milliseconds patience) noexcept {
        link_->flush_now(patience);
        link_->close();
        pidfd_.close();
    }

    /// Until it has said that it is ready, has ended, or the time is over. Then `report` says why it is none.
    static Task<> until_ready(std::shared_ptr<NewMaster> self, std::chrono::milliseconds timeout, ReloadReport& report);
    /// It is not wanted any more.
    void fail(std::error_code error) {
        if (!error_) error_ = error;
        changed_.notify_all();
    }
    /// Asks it to end, and kills it when it has not after that time.
    static Task<> end(std::shared_ptr<NewMaster> self, std::chrono::milliseconds grace);
    void kill() noexcept {
        send_signal(pidfd_.get(), SIGKILL);
        reap(pidfd_.get(), true);
        pidfd_.cancel();
        link_->close();
    }

private:
    using Link = ControlLink<FromOldMaster, FromNewMaster>;

    [[noreturn]] static void become_master(int link);
    static Task<> hear(std::shared_ptr<NewMaster> self);
    static Task<> await_exit(std::shared_ptr<NewMaster> self);
    void expire_after(std::chrono::milliseconds time);

    pid_t pid_;
    AsyncFd pidfd_;
    std::shared_ptr<Link> link_;
    Notifier changed_;
    asio::steady_timer timer_;
    std::error_code error_;
    std::optional<ExitStatus> status_;
    bool ready_ = false;
    bool late_ = false;
};

/// In the child.
inline void NewMaster::become_master(int link) {
    close_inherited(std::span<const int>(&link, 1));
    ::setenv(upgrade_variable, std::to_string(link).c_str(), 1);
    const SetupError error = exec(own_program(), own_arguments(), std::span<const int>(&link, 1));
    std::cerr << "cohort: " << own_program() << ": " << std::system_category().message(error.system_error) << std::endl;
    leave_process(127);
}

inline Task<> NewMaster::hear(std::shared_ptr<NewMaster> self) {
    try {
        while (const auto packet = co_await self->link_->receive()) {
            self->ready_ = true;
            self->changed_.notify_all();
        }
    } catch (const std::system_error& error) {
        self->fail(error.code());
    }
}

inline Task<> NewMaster::await_exit(std::shared_ptr<NewMaster> self) {
    while (!self->status_ && self->pidfd_.is_open()) {
        std::error_code error;
        co_await self->pidfd_.readable(error);
        if (error) co_return;
        self->status_ = reap(self->pidfd_.get());
    }
    self->changed_.notify_all();
}

/// late_ is set then, unless the timer is cancelled.
inline void NewMaster::expire_after(std::chrono::milliseconds time) {
    late_ = false;
    timer_.expires_after(time);
    timer_.async_wait([weak = weak_from_this()](std::error_code error) {
        const auto self = weak.lock();
        if (error || !self) return;
        self->late_ = true;
        self->changed_.notify_all();
    });
}

inline Task<> NewMaster::until_ready(std::shared_ptr<NewMaster> self, std::chrono::milliseconds timeout,
                                     ReloadReport& report) {
    const auto executor = co_await asio::this_coro::executor;
    asio::co_spawn(executor, hear(self), asio::detached);
    asio::co_spawn(executor, await_exit(self), asio::detached);
    self->expire_after(timeout);
    while (!self->ready_ && !self->status_ && !self->late_ && !self->error_) co_await self->changed_.wait();
    self->timer_.cancel();
    report.error = self->error_;
    if (self->ready_ || report.error) co_return;
    report.error = Errc::not_ready;
    report.status = self->status_;
}

inline Task<> NewMaster::end(std::shared_ptr<NewMaster> self, std::chrono::milliseconds grace) {
    send_signal(self->pidfd_.get(), SIGTERM);
    self->expire_after(grace);
    while (!self->status_ && !self->late_) co_await self->changed_.wait();
    self->timer_.cancel();
    if (!self->status_) send_signal(self->pidfd_.get(), SIGKILL);
    while (!self->status_) co_await self->changed_.wait();
    self->link_->close();
}

} // namespace cohort::detail

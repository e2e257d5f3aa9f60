// SPDX-License-Identifier: MIT
// The bodies of new_master.hpp (layer 4).
#pragma once

#include <cohort/detail/upgrade/new_master.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/system/notify_socket.hpp>
#include <cohort/detail/system/process_start.hpp>
#include <cohort/detail/system/signals.hpp>

#include <csignal>

namespace cohort::detail {

COHORT_DECL std::shared_ptr<NewMaster> NewMaster::launch(const asio::any_io_executor& executor) {
    auto [mine, its] = make_socketpair(SOCK_SEQPACKET);
    Process process = fork_process(AfterFork::execs, &disregard_commands);
    if (process.pid == 0) become_master(its.get());
    return share<NewMaster>(executor, std::move(process), std::move(mine));
}

COHORT_DECL NewMaster::NewMaster(const asio::any_io_executor& executor, Process process, UniqueFd link)
    : pid_(process.pid),
      pidfd_(executor, std::move(process.pidfd)),
      link_(share<Link>(executor, std::move(link))),
      changed_(executor),
      timer_(executor) {}

COHORT_DECL void NewMaster::leave_alone(Timeout patience) noexcept {
    link_->flush_now(patience);
    link_->close();
    pidfd_.cancel();
}

COHORT_DECL void NewMaster::kill() noexcept {
    send_signal(pidfd_.get(), SIGKILL);
    reap(pidfd_.get(), true);
    pidfd_.cancel();
    link_->close();
}

/// In the child.
COHORT_DECL void NewMaster::become_master(int link) {
    if (ignored_hangup_at_start()) ::signal(SIGHUP, SIG_IGN);
    // In the background it may write to its terminal also before it has come to run(), as this one may.
    for (const int signal : {SIGTTIN, SIGTTOU}) ::signal(signal, SIG_IGN);
    close_opened(std::span<const int>(&link, 1));
    ::setenv(upgrade_variable, std::to_string(link).c_str(), 1);
    restore_service_environment();
    const SignalsHeld held(command_signals);
    const SetupError error = exec(own_program(), own_arguments(), std::span<const int>(&link, 1));
    log_line(LogLevel::error, own_program() + ": " + std::system_category().message(error.system_error));
    leave_process(127);
}

COHORT_DECL Task<> NewMaster::hear(std::shared_ptr<NewMaster> self) {
    try {
        while (const auto packet = co_await self->link_->receive()) {
            self->ready_ = true;
            self->changed_.notify_all();
        }
    } catch (const std::system_error& error) {
        self->fail(error.code());
    }
}

COHORT_DECL Task<> NewMaster::await_exit(std::shared_ptr<NewMaster> self) {
    while (!self->status_ && self->pidfd_.is_open()) {
        std::error_code error;
        co_await self->pidfd_.readable(error);
        if (error) co_return;
        self->status_ = reap(self->pidfd_.get());
    }
    self->changed_.notify_all();
}

/// late_ is set then, unless the timer is cancelled.
COHORT_DECL void NewMaster::expire_after(Timeout time) {
    late_ = false;
    timer_.expire_after(time, action<&NewMaster::be_late>(this));
}

COHORT_DECL void NewMaster::be_late() {
    late_ = true;
    changed_.notify_all();
}

COHORT_DECL Task<> NewMaster::until_ready(std::shared_ptr<NewMaster> self, Timeout timeout, ReloadReport& report) {
    const auto executor = co_await asio::this_coro::executor;
    spawn(executor, hear(self));
    spawn(executor, await_exit(self));
    self->expire_after(timeout);
    while (!self->ready_ && !self->status_ && !self->late_ && !self->error_) co_await self->changed_.wait();
    self->timer_.cancel();
    report.error = self->error_;
    if (self->ready_ || report.error) co_return;
    report.error = Errc::not_ready;
    report.status = self->status_;
}

COHORT_DECL Task<> NewMaster::end(std::shared_ptr<NewMaster> self, Timeout grace) {
    send_signal(self->pidfd_.get(), SIGTERM);
    self->expire_after(grace);
    while (!self->status_ && !self->late_) co_await self->changed_.wait();
    self->timer_.cancel();
    if (!self->status_) send_signal(self->pidfd_.get(), SIGKILL);
    while (!self->status_) co_await self->changed_.wait();
    self->link_->close();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// ServiceNotifier: when a master says what to the service manager that has started it (layer 4).
#pragma once

#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/supervise/worker_counts.hpp>
#include <cohort/detail/system/notify_socket.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <deque>
#include <string>

#include <sys/types.h>

namespace cohort::detail {

/// systemd(1), or whoever else sets NOTIFY_SOCKET: sd_notify(3). One process of a service speaks at a time, the one
/// that is listened to as its main process: of two masters, the old one until it has said who follows.
class ServiceNotifier {
public:
    class Owner {
    public:
        virtual WorkerCounts count_workers() const = 0;
        /// By the manager, for the next master (ListenerStore::keep).
        virtual bool keep_listeners(const NotifySocket& manager) = 0;

    protected:
        ~Owner() = default;
    };

    /// `follows`: another master speaks until take_over().
    ServiceNotifier(const asio::any_io_executor& executor, bool follows, Owner& owner);

    /// There are workers: the watchdog is to see that this process lives.
    void begin();
    /// Their number or their state has changed. That is told soon, many changes at once.
    void changed();
    bool is_ready() const noexcept { return ready_; }
    /// The first workers are ready. Once.
    void become_ready();
    /// A reload or an upgrade.
    void begin_change();
    /// `failure`: empty, or why nothing has changed.
    void end_change(std::string failure);
    void stop();
    /// This process follows as the one to be listened to. Nothing more is said here.
    void hand_over(pid_t successor);
    /// From now on this one speaks.
    void take_over();
    /// No workers are left.
    void finish();

private:
    enum class Voice { waits, speaks, ended };

    ServiceNotifier(const asio::any_io_executor& executor, bool follows, Owner& owner,
                    const ServiceEnvironment& environment);
    void say(std::string state);
    bool deliver(const std::string& state) const noexcept;
    std::string status() const;
    void keep_listeners();
    void tell_status();
    void keep_alive();
    void try_again();

    NotifySocket socket_;
    std::chrono::microseconds watchdog_;
    Owner& owner_;
    Voice voice_;
    Timer tell_later_;
    Timer watchdog_timer_;
    Timer again_;
    std::deque<std::string> unsent_; // that the reader had no room for
    std::string failure_;            // of the last reload or upgrade
    std::string told_;
    bool ready_ = false;
    bool stopping_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/service_notifier.ipp>
#endif

// SPDX-License-Identifier: MIT
// HealthMonitor: looks after the workers that live, and has those ended or replaced that need it (layer 4).
#pragma once

#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/policy/liveness_policy.hpp>
#include <cohort/detail/policy/observed_time.hpp>
#include <cohort/detail/policy/probe_policy.hpp>
#include <cohort/detail/policy/recycle_policy.hpp>
#include <cohort/detail/process/slots.hpp>
#include <cohort/reload.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_signal.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace cohort::detail {

/// One timer for all workers, running while there is one.
class HealthMonitor {
public:
    class Owner {
    public:
        /// Replaces the slot's worker; the successor is ready before the old one leaves.
        virtual Task<ReloadReport> replace(unsigned slot) = 0;
        /// About once in a second.
        virtual void note_figures() = 0;

    protected:
        ~Owner() = default;
    };

    HealthMonitor(const asio::any_io_executor& executor, const Options& options, SharedPage& page,
                  const WorkerRecords& records, const Slots& slots, Owner& owner);
    HealthMonitor(const HealthMonitor&) = delete;
    HealthMonitor& operator=(const HealthMonitor&) = delete;

    /// Called when a worker has been started: begins to check, if that is not under way.
    void watch();
    void on_exit(WorkerId worker);
    /// Options::recycle has changed.
    void set_recycling();

    /// How far a worker is from being recycled.
    struct Recycling {
        Recycle limits{}; // chance has shortened them
        ObservedTime::Clock::duration age{};
        bool is_due = false;
    };
    /// Of a worker that has not been looked at yet there is none.
    std::optional<Recycling> recycling_of(WorkerId worker) const;

private:
    using Duration = ObservedTime::Clock::duration;

    /// What is known of one worker. Shared with the probe or replacement that is under way for it.
    struct Health {
        Health(const Options& options, double chance);

        LivenessPolicy pulse;
        RecyclePolicy recycling;
        ProbePolicy probing;
        ReplacementWait wait;
        Duration age{0};       // since it was started; once it is ready, since then
        Duration unchecked{0}; // since RecyclePolicy was asked
        Duration ending{0};    // since its last beat
        bool was_ready = false;
        bool is_due = false;
        bool replacing = false;
        bool told = false; // that it is unhealthy
        bool told_of_debugger = false;
        asio::cancellation_signal probe_cancelled;
        std::string failure; // why the last check failed, if it has said so
    };
    using HealthPtr = std::shared_ptr<Health>;

    static std::chrono::milliseconds period(const Options& options);
    void look();
    void look_later();
    void look_if_watching();
    const HealthPtr& health_of(WorkerId worker);
    void check(WorkerRecord& record, const HealthPtr& health, Duration elapsed);
    void check_liveness(WorkerRecord& record, Health& health, Duration elapsed);
    void await_readiness(WorkerRecord& record, Health& health);
    /// Says so once. Asked only of a worker that is about to be ended: it reads files.
    static bool is_debugged(const WorkerRecord& record, Health& health);
    static Task<> run_probe(HealthPtr health, Task<bool> check);
    static Task<> run_replacement(HealthPtr health, WorkerId worker, Task<ReloadReport> replacement);
    void probe(const WorkerRecord& record, const HealthPtr& health, Duration elapsed);
    void consider_replacing(const WorkerRecord& record, const HealthPtr& health, Duration elapsed);
    void check_recycling(const WorkerRecord& record, Health& health, Duration elapsed);
    /// Whether a replaced worker of this slot is still leaving: there is never a third one beside the two.
    bool has_leaving(unsigned slot) const;
    static void say(const WorkerRecord& record, std::string_view what);
    void note_figures();

    asio::any_io_executor executor_;
    const Options& options_;
    SharedPage& page_;
    const WorkerRecords& records_;
    const Slots& slots_;
    Owner& owner_;
    std::chrono::milliseconds period_; // between two looks
    Timer timer_;
    ObservedTime time_;
    ObservedTime::Clock::time_point next_figures_{};
    bool watching_ = false;
    std::map<WorkerId, HealthPtr> health_;
    std::minstd_rand random_{std::random_device{}()};
    std::uniform_real_distribution<> chance_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/health_monitor.ipp>
#endif

// SPDX-License-Identifier: MIT
// WorkerProcesses: starts worker processes, reads what they send, reaps them (layer 4).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/logs/log_service.hpp>
#include <cohort/detail/process/control_reader.hpp>
#include <cohort/detail/process/event_log.hpp>
#include <cohort/detail/process/mailbox.hpp>
#include <cohort/detail/process/worker_record.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/worker/abort_report.hpp>

#include <asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <unistd.h>

namespace cohort::detail {

/// What the master sends and what it receives.
struct Schemas {
    Schema outgoing;
    Schema incoming;
};

/// How many workers there are to be, and which are to end, is decided by SlotManager and WorkerShutdown.
class WorkerProcesses final : Mailbox::Owner {
public:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    class Owner : public ControlReader::Owner {
    public:
        /// The program of this worker, which knows nothing of cohort, has begun.
        virtual void on_executed(WorkerRecord& record) = 0;
        /// The process has ended, and its last messages have been read.
        virtual void on_exit(const RecordPtr& record, const ExitStatus& status) = 0;
        /// Whether all workers have gone and none will be started.
        virtual bool finished() const = 0;

    protected:
        ~Owner() = default;
    };

    /// `logs`: null, if what workers write is not captured.
    WorkerProcesses(asio::io_context& context, const Options& options, Schemas schemas, SharedPage& page,
                    LogService* logs, Owner& owner);
    WorkerProcesses(const WorkerProcesses&) = delete;
    WorkerProcesses& operator=(const WorkerProcesses&) = delete;
    /// Kills the workers that are left.
    ~WorkerProcesses();

    /// What a process is started with beside its assignment.
    struct Place {
        unsigned slot = 0;
        std::vector<int> inherited{}; // the listening descriptors that it keeps
        std::uint64_t generation = 0;
    };
    /// Throws what launch() does.
    WorkerId start(Place place, const WorkerSpec& assignment);
    /// Has the process killed when it has not ended by itself within Options::grace.
    void limit(WorkerRecord& record);
    /// For a worker that has sent something that is not valid: kills it. `error` becomes that of its exited event.
    void break_off(WorkerRecord& record, std::error_code error);
    /// Removes the record of a worker that has ended.
    void forget(WorkerRecord& record);

    /// Calls `at_end` after `time`, unless the worker has ended by then or limit() was called for it.
    void limit_lifetime(WorkerId worker, std::chrono::milliseconds time, std::function<void(WorkerRecord&)> at_end);

    /// For a worker that is online: it and the others see what each counts. Forked ones do from the beginning.
    void show_parts(WorkerRecord& record);

    /// Adds an event that the worker has entered a state, once for each state, and once for each endpoint when it is
    /// listening. Returns the complete event.
    Event enter(WorkerRecord& record, WorkerState state, Event details = {});
    COHORT_LAZY Task<std::optional<Event>> next_event();
    /// What has happened lately, for any number of readers.
    EventLog& history() noexcept { return history_; }
    /// Wakes the coroutines that wait for events or messages, so that they see whether any will come.
    void notify() {
        mailbox_.notify();
        events_.notify();
        history_.notify();
    }

    const WorkerRecords& records() const noexcept { return records_; }
    /// The worker's record; null when there is no such worker.
    RecordPtr find(WorkerId worker) const {
        const auto found = records_.find(worker);
        return found == records_.end() ? nullptr : found->second;
    }
    std::vector<WorkerInfo> workers() const;
    Mailbox& mail() noexcept { return mailbox_; }
    /// Whether a worker has ever been started.
    bool has_begun() const noexcept { return last_id_ != 0; }

private:
    bool finished() const override { return owner_.finished(); }
    COHORT_DECL bool is_serving() const override;
    COHORT_DECL void on_bad_message(WorkerRecord& record, std::error_code error) override;
    Launched launch_captured(const Identity& identity, WorkerSpec assignment);
    void show_part(WorkerId worker, std::uint32_t cell, WorkerRecord& other) const;
    void send_parts();
    bool send_parts_to(WorkerRecord& record) const;
    Task<> begin(RecordPtr record);
    Task<> hear(RecordPtr record);
    Task<> read_mail(RecordPtr record);
    Task<> await_exit(RecordPtr record);
    ExitStatus leave_to_tracer(const WorkerRecord& record);
    void reap_traced();

    asio::io_context& context_;
    const Options& options_;
    Schemas schemas_;
    SharedPage& page_;
    LogService* logs_;
    Owner& owner_;
    WorkerRecords records_;
    ControlReader control_reader_;
    Mailbox mailbox_;
    EventLog events_; // that nobody has asked for yet
    EventLog history_;
    Timer send_parts_later_;
    std::vector<UniqueFd> traced_; // pidfds of workers that have ended and are held by somebody else
    Timer reap_later_;
    WorkerId last_id_ = 0;
    pid_t process_ = ::getpid();
    std::shared_ptr<bool> alive_ = share<bool>(true);
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/worker_processes.ipp>
#endif

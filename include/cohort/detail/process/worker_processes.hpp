// SPDX-License-Identifier: MIT
// WorkerProcesses: starts worker processes, reads what they send, reaps them (layer 4).
#pragma once

#include <cohort/detail/process/control_reader.hpp>
#include <cohort/detail/process/event_log.hpp>
#include <cohort/detail/process/mailbox.hpp>
#include <cohort/detail/process/worker_record.hpp>
#include <cohort/detail/worker/abort_report.hpp>

#include <asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace cohort::detail {

/// What the master sends and what it receives.
struct Schemas {
    Schema outgoing;
    Schema incoming;
};

/// Who is wanted, and for how long, is decided elsewhere.
class WorkerProcesses final : Mailbox::Owner {
public:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    class Owner : public ControlReader::Owner {
    public:
        /// The process is gone, and its last messages are in.
        virtual void on_exit(const RecordPtr& record, const ExitStatus& status) = 0;
        /// Nobody will come any more.
        virtual bool finished() const = 0;

    protected:
        ~Owner() = default;
    };

    WorkerProcesses(asio::io_context& context, const Options& options, Schemas schemas, SharedPage& page, Owner& owner);
    WorkerProcesses(const WorkerProcesses&) = delete;
    WorkerProcesses& operator=(const WorkerProcesses&) = delete;
    /// Kills those that are left.
    ~WorkerProcesses();

    /// `inherited`: the listening descriptors that the process keeps. Throws what launch() does.
    WorkerId start(unsigned slot, const WorkerSpec& assignment, std::vector<int> inherited);
    /// Has the process killed when it has not ended by itself within Options::grace.
    void limit(WorkerRecord& record);
    /// A worker that sends what no worker sends is not to be trusted with anything more.
    void break_off(WorkerRecord& record, std::error_code error);
    /// The process is gone and so is all that was kept for it.
    void forget(WorkerRecord& record);

    /// Calls back in so much time, unless the worker has gone by then or is limited.
    void after(WorkerId worker, std::chrono::milliseconds time, std::function<void(WorkerRecord&)> action);

    /// Adds the step to the events, once. Gives it with all that it says.
    Event enter(WorkerRecord& record, WorkerState state, Event details = {});
    Task<std::optional<Event>> next_event();
    /// Whoever waits for events or messages looks again whether any will come.
    void notify() {
        mailbox_.notify();
        events_.notify();
    }

    const WorkerRecords& records() const noexcept { return records_; }
    /// The worker, or nothing.
    RecordPtr find(WorkerId worker) const {
        const auto found = records_.find(worker);
        return found == records_.end() ? nullptr : found->second;
    }
    std::vector<WorkerInfo> workers() const;
    Mailbox& mail() noexcept { return mailbox_; }
    /// Somebody has been started, at any time.
    bool has_begun() const noexcept { return last_id_ != 0; }

private:
    bool finished() const override { return owner_.finished(); }
    void on_bad_message(WorkerRecord& record, std::error_code error) override;
    Task<> hear(RecordPtr record);
    Task<> read_mail(RecordPtr record);
    Task<> await_exit(RecordPtr record);

    asio::io_context& context_;
    const Options& options_;
    Schemas schemas_;
    SharedPage& page_;
    Owner& owner_;
    WorkerRecords records_;
    ControlReader control_reader_;
    Mailbox mailbox_;
    EventLog events_;
    WorkerId last_id_ = 0;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/worker_processes.ipp>
#endif

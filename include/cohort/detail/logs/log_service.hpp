// SPDX-License-Identifier: MIT
// LogService: the log of a master and its workers, from their pipes to the process that writes it (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/logs/captured_stream.hpp>
#include <cohort/detail/logs/hold_budget.hpp>
#include <cohort/detail/logs/log_queue.hpp>
#include <cohort/detail/logs/recent_lines.hpp>
#include <cohort/detail/logs/writer_process.hpp>
#include <cohort/log_options.hpp>

#include <asio/any_io_executor.hpp>

#include <cstddef>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cohort::detail {

/// For the standard streams of a worker that is about to start.
struct WorkerPipes {
    struct Pipe {
        LogStream stream;
        UniqueFd read_end;
        UniqueFd write_end;
    };

    std::vector<Pipe> pipes;
};

/// Nothing here waits for the disk: when the writer does not keep up, the workers' pipes are read on, and what there is
/// no room for is lost, counted, and told of.
class LogService final : LineSink, WriterProcess::Owner, CapturedStream::Owner {
public:
    /// Starts the writer. Throws what that does, and why the file cannot be opened.
    LogService(const asio::any_io_executor& executor, LogOptions options);
    LogService(const LogService&) = delete;
    LogService& operator=(const LogService&) = delete;
    /// finish()
    ~LogService();

    /// Adds the ends that the worker gets to its descriptors, unless those say something else. Throws EMFILE.
    static WorkerPipes open_pipes(WorkerOptions& options);
    void capture(WorkerId worker, unsigned slot, WorkerPipes pipes);
    /// Reads what the worker has left. What it has started may still write.
    void worker_ended(WorkerId worker);
    /// The file is opened anew, once what came before is written.
    void reopen();

    /// A file of LogOptions::crash_reports, if those are wanted; what is longer than a packet is cut.
    void report(const std::string& name, const std::string& text);

    /// No worker is left: this keeps no event loop from running out of work, until the next one is captured. Unless the
    /// cluster is `stopping`, what workers have started and left is still listened to.
    void rest(bool stopping);
    /// The last worker has ended for good. Waits for the disk, but no longer than two seconds; the writer waits on.
    void finish();

    RecentLines& recent() noexcept { return recent_; }
    bool is_writer(pid_t pid) const noexcept { return writer_->is_it(pid); }

private:
    using Time = CapturedStream::Time;
    using StreamPtr = std::shared_ptr<CapturedStream>;

    // LineSink
    COHORT_DECL bool log(std::string_view text) noexcept override;
    // WriterProcess::Owner
    COHORT_DECL void on_room() override;
    COHORT_DECL void on_writer_end(const ExitStatus& status) override;
    // CapturedStream::Owner
    COHORT_DECL bool may_read() override;
    void take(const LogSource& source, Time time, const Line& line) override { keep(source, time, line, fits_); }
    COHORT_DECL void lines_taken() override;

    void rest_writer();
    void keep(const LogSource& source, Time time, const Line& line, bool fits);
    void say(std::string_view text);
    void send();
    bool is_all_sent() const noexcept { return queue_.is_empty() && reports_.empty(); }
    bool hold();
    void hold_for(HoldBudget::Clock::duration time);
    void end_hold();
    void let_read();
    void give_up_old_pipes();
    void read_to_the_end(std::chrono::steady_clock::time_point deadline);
    void send_all(std::chrono::steady_clock::time_point deadline);

    asio::any_io_executor executor_;
    LogQueue queue_;
    std::deque<std::string> reports_; // packets
    bool keeps_reports_;
    RecentLines recent_;
    std::shared_ptr<WriterProcess> writer_;
    std::list<StreamPtr> streams_;
    HoldBudget hold_budget_;
    HoldBudget::Clock::time_point held_since_{};
    Timer hold_;
    bool losing_ = false; // until the queue is empty
    bool fits_ = false;   // what is being read, as a whole
    bool ending_ = false;
    WorkerId ending_worker_ = 0;
    bool idle_ = false;
    bool finished_ = false;
    bool reopens_ = false;
    pid_t process_;
    pid_t thread_; // that the event loop runs on
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/log_service.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of log_service.hpp (layer 3).
#pragma once

#include <cohort/detail/logs/log_service.hpp>

#include <cohort/detail/share.hpp>
#include <cohort/detail/system/process_start.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace cohort::detail {

/// What the lines may take in the master, beside what was read last: once on their way, and once to be looked at.
inline constexpr std::size_t most_queued_lines = std::size_t{128} << 10;
inline constexpr std::size_t most_recent_lines = std::size_t{256} << 10;

/// The writer tries again for ever; here a mistake is to be an error.
COHORT_DECL LogOptions check_log(LogOptions options) {
    open_standard_descriptors();
    if (!options.crash_reports.empty()) {
        options.crash_reports = std::filesystem::absolute(options.crash_reports).native();
        if (const auto error = CrashFiles(options.crash_reports).prepare())
            throw std::system_error(error, "the crash reports " + options.crash_reports);
    }
    if (options.path.empty()) return options;
    options.path = std::filesystem::absolute(options.path).native();
    bool is_new = false;
    LogFile file(options);
    if (const auto error = file.prepare(0, is_new)) throw std::system_error(error, "the log " + options.path);
    return options;
}

COHORT_DECL LogService::LogService(const asio::any_io_executor& executor, LogOptions options)
    : executor_(executor),
      queue_(options.format, most_queued_lines),
      keeps_reports_(!options.crash_reports.empty()),
      recent_(executor, most_recent_lines),
      writer_(WriterProcess::start(executor, check_log(std::move(options)), *this)),
      hold_(executor),
      process_(::getpid()),
      thread_(::gettid()) {
    line_sink = this;
}

COHORT_DECL LogService::~LogService() {
    if (::getpid() == process_) finish(); // not in a forked copy of the master
}

COHORT_DECL void LogService::rest(bool stopping) {
    idle_ = true;
    recent_.notify();
    for (const StreamPtr& stream : streams_)
        if (stopping) stream->rest();
    rest_writer();
}

/// Unless there may be lines for it.
COHORT_DECL void LogService::rest_writer() {
    const auto listens = [](const StreamPtr& stream) { return stream->is_open() && !stream->is_resting(); };
    if (std::ranges::none_of(streams_, listens)) writer_->rest();
}

COHORT_DECL void LogService::finish() {
    if (std::exchange(finished_, true)) return;
    constexpr std::chrono::seconds patience{2};
    const auto deadline = std::chrono::steady_clock::now() + patience;
    if (line_sink == this) line_sink = nullptr;
    hold_.cancel();
    writer_->revive();
    read_to_the_end(deadline);
    send_all(deadline);
    const std::uint64_t lost = queue_.count_lost();
    const bool is_written = writer_->finish(deadline, lost);
    if (!is_written)
        log_line(LogLevel::error,
                 "nobody writes the log: what came last is lost, " + std::to_string(lost) + " lines or more");
    if (!reports_.empty())
        log_line(LogLevel::error, std::to_string(reports_.size()) + " crash reports were not written in time");
}

// Workers

COHORT_DECL WorkerPipes LogService::open_pipes(WorkerOptions& options) {
    std::map<int, int>& descriptors = options.descriptors;
    WorkerPipes opened;
    for (const LogStream stream : {LogStream::output, LogStream::error}) {
        const int number = stream == LogStream::output ? STDOUT_FILENO : STDERR_FILENO;
        if (descriptors.contains(number)) continue;
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw_last_error("pipe2");
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK); // this end alone
        // Whoever opens /dev/stdout opens the pipe once more, as its owner (proc(5), /proc/pid/fd).
        [[maybe_unused]] const int changed = ::fchown(ends[1], options.uid.value_or(static_cast<uid_t>(-1)),
                                                      options.gid.value_or(static_cast<gid_t>(-1)));
        descriptors[number] = ends[1];
        opened.pipes.push_back({stream, UniqueFd(ends[0]), UniqueFd(ends[1])});
    }
    return opened;
}

COHORT_DECL void LogService::capture(WorkerId worker, unsigned slot, WorkerPipes opened) {
    for (auto& pipe : opened.pipes) {
        const LogSource source{worker, slot, pipe.stream};
        auto& owner = static_cast<CapturedStream::Owner&>(*this);
        streams_.push_back(share<CapturedStream>(executor_, std::move(pipe.read_end), source, owner));
    }
    idle_ = false;
    writer_->watch();
    for (const StreamPtr& stream : streams_) stream->resume();
}

COHORT_DECL void LogService::worker_ended(WorkerId worker) {
    constexpr std::size_t most = std::size_t{64} << 10; // as much as the pipe holds (pipe(7))
    ending_worker_ = worker; // whatever others wait for: these are the lines that matter most
    for (const StreamPtr& stream : streams_) {
        if (stream->worker() != worker) continue;
        stream->leave();
        stream->read(most);
    }
    ending_worker_ = 0;
    give_up_old_pipes();
}

/// What the workers have started, and left, may live for long, and more of it may come with every worker.
COHORT_DECL void LogService::give_up_old_pipes() {
    constexpr std::ptrdiff_t most = 64;
    std::erase_if(streams_, [](const StreamPtr& stream) { return !stream->is_open(); });
    const auto is_left = [](const StreamPtr& stream) { return stream->is_left(); };
    auto excess = std::ranges::count_if(streams_, is_left) - most;
    for (; excess > 0; --excess) {
        const auto oldest = std::ranges::find_if(streams_, is_left);
        (*oldest)->close();
        streams_.erase(oldest);
    }
}

// Lines

COHORT_DECL bool LogService::may_read() {
    const bool is_last = ending_worker_ != 0;
    if (queue_.is_full()) send();
    const bool may = !queue_.is_full() || losing_ || ending_ || is_last || !hold();
    fits_ = is_last ? !queue_.is_full_twice() : !queue_.is_full();
    return may;
}

COHORT_DECL void LogService::keep(const LogSource& source, Time time, const Line& line, bool fits) {
    recent_.add(source, time, line);
    queue_.add(source, time, line, fits);
}

COHORT_DECL void LogService::lines_taken() {
    fits_ = false;
    send();
    if (idle_) rest_writer();
}

COHORT_DECL bool LogService::log(std::string_view text) noexcept {
    if (::gettid() != thread_) return false; // another thread's, or a forked process's
    try {
        say(text);
    } catch (const std::exception&) {
        return false;
    }
    return true;
}

COHORT_DECL void LogService::say(std::string_view text) {
    const auto now = std::chrono::system_clock::now();
    LineSplitter lines(CapturedStream::longest_line);
    lines.feed(text);
    const bool fits = !queue_.is_full_twice();
    while (const auto line = lines.next()) keep(LogSource{}, now, *line, fits);
    if (const auto line = lines.rest()) keep(LogSource{}, now, *line, fits);
    send();
}

COHORT_DECL void LogService::send() {
    if (reopens_) reopens_ = !writer_->send(LogPacket::reopen, {});
    while (!reports_.empty() && writer_->send(LogPacket::report, reports_.front())) reports_.pop_front();
    do {
        while (!queue_.is_empty()) {
            const std::string_view lines = queue_.front(writer_->packet_size());
            if (!writer_->send(LogPacket::lines, lines)) return;
            queue_.pop(lines.size());
        }
        losing_ = false;
        queue_.tell_lost(std::chrono::system_clock::now());
    } while (!queue_.is_empty());
}

COHORT_DECL void LogService::reopen() {
    reopens_ = true;
    send();
}

COHORT_DECL void LogService::report(const std::string& name, const std::string& text) {
    constexpr std::size_t most = 8; // they wait only while the writer does not keep up
    if (!keeps_reports_) return;
    if (reports_.size() == most)
        return log_line(LogLevel::error, name + ": no crash report was written: the disk is too slow");
    constexpr std::string_view cut = "(cut)\n";
    std::string packet = name + "\n" + text;
    if (packet.size() > writer_->packet_size()) {
        packet.resize(packet.rfind('\n', writer_->packet_size() - cut.size() - 1) + 1);
        packet += cut;
    }
    reports_.push_back(std::move(packet));
    send();
}

COHORT_DECL void LogService::on_writer_end(const ExitStatus& status) {
    log_line(LogLevel::warning,
             "the process that writes the log has ended: " + status.describe() + "; another one goes on");
}

// When the writer does not keep up

/// False: it has been too long.
COHORT_DECL bool LogService::hold() {
    if (hold_.is_set()) return true;
    held_since_ = HoldBudget::Clock::now();
    hold_for(hold_budget_.left(held_since_));
    return hold_.is_set();
}

/// Longer, for a while, if the writer does not wait for the disk, but for a CPU: others have to wait then, too.
COHORT_DECL void LogService::hold_for(HoldBudget::Clock::duration time) {
    constexpr std::chrono::milliseconds longer{20};
    constexpr std::chrono::seconds longest{1};
    const auto now = HoldBudget::Clock::now();
    const bool is_over = time <= time.zero();
    if (is_over && now - held_since_ < longest && writer_->is_runnable()) time = longer;
    if (time > time.zero()) return hold_.expire_at(now + time, action<&LogService::end_hold>(this));
    send(); // it may have caught up just now
    losing_ = queue_.is_full();
}

COHORT_DECL void LogService::end_hold() {
    if (queue_.is_full()) hold_for({});
    if (!hold_.is_set()) let_read();
}

COHORT_DECL void LogService::on_room() {
    send();
    if (hold_.is_set() && !queue_.is_full()) let_read();
}

COHORT_DECL void LogService::let_read() {
    hold_.cancel();
    hold_budget_.use(HoldBudget::Clock::now() - held_since_);
    for (const StreamPtr& stream : streams_)
        if (!stream->is_resting()) stream->resume();
}

// At the end

COHORT_DECL void LogService::read_to_the_end(std::chrono::steady_clock::time_point deadline) {
    constexpr std::size_t most = std::size_t{64} << 10;
    ending_ = true;
    for (const StreamPtr& stream : streams_) {
        for (std::size_t left = most; left > 0 && stream->is_open(); left -= std::min<std::size_t>(left, 4096)) {
            if (queue_.is_full()) send_all(deadline);
            stream->read(1);
        }
        stream->close();
    }
}

COHORT_DECL void LogService::send_all(std::chrono::steady_clock::time_point deadline) {
    send();
    while (!is_all_sent() && writer_->wait_for_room(deadline)) send();
}

} // namespace cohort::detail

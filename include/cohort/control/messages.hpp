// SPDX-License-Identifier: MIT
// What a master and those who steer it from outside say to each other (layer 1).
#pragma once

#include <cohort/crash_report.hpp>
#include <cohort/error.hpp>
#include <cohort/event.hpp>
#include <cohort/options.hpp>
#include <cohort/stats.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <sys/types.h>

namespace cohort::control {

/// Argument or result of an action that has none.
struct Nothing {};

/// An error as it travels. Codes of cohort's and the system's category arrive as they were; others as Errc::call_failed
/// with their text.
struct Failure {
    std::string category{}; ///< empty: there is none
    std::int32_t value = 0;
    std::string text{};

    /// Without words of its own it has those of the code.
    static Failure of(std::error_code error, std::string text = {});
    /// The exception that is being handled; of several at a time (asio's `&&`) the first.
    static Failure current();
    std::error_code code() const noexcept;
};

/// An action by its name, with its argument as encode() writes it. The shape of this and of Response stays the same
/// from one version to the next; what an action takes and gives has hashes of its own, so that programs of two versions
/// understand each other in all that is the same in both.
struct Request {
    std::string action{};
    std::uint64_t takes = 0; ///< schema_hash() of the argument
    std::uint64_t gives = 0; ///< and of the result that is expected
    std::vector<std::byte> argument{};
};
struct Response {
    std::vector<std::byte> result{};
    Failure failure{};
};

/// By what a worker is recycled (Options::recycle). Its requests and its memory are in WorkerStatus. A limit of 0:
/// there is none, or the worker has started this second.
struct RecycleStatus {
    std::uint64_t request_limit = 0;       ///< less what chance has taken off for this worker (Recycle::jitter)
    std::chrono::milliseconds age_limit{}; ///< the same
    std::uint64_t memory_limit = 0;        ///< resident bytes
    std::chrono::milliseconds age{};       ///< since it became ready; before that since it was started
    bool due = false;                      ///< a limit is reached; its successor starts when its slot has its turn
};

/// A living worker.
struct WorkerStatus {
    WorkerId id = 0;
    unsigned slot = 0;
    pid_t pid = 0;
    WorkerState state = WorkerState::forked;
    bool ready = false;                 ///< it was, at some time (Options::readiness)
    bool slow = false;                  ///< its event loop has not turned for Liveness::slow_after
    std::uint64_t generation = 0;       ///< of MasterStatus, when it was started
    std::chrono::milliseconds uptime{}; ///< since it was forked
    std::uint32_t connections = 0;      ///< open now
    std::uint64_t requests = 0;         ///< begun since it was forked
    std::uint64_t in_progress = 0;      ///< of these, not ended
    std::chrono::microseconds lag{};    ///< how late its event loop came to its last heartbeat
    std::uint64_t memory = 0;           ///< resident bytes, those it shares with others, too; 0: not known
    std::uint64_t private_memory = 0;   ///< of these, those that are its own
    std::chrono::milliseconds cpu{};    ///< time that it has used, in user and system mode together
    MessageCounts messages{};
    std::uint32_t calls = 0; ///< of Master::call(request), under way
    RecycleStatus recycle{};
};

/// A place for one worker after the other.
struct SlotStatus {
    unsigned slot = 0;
    std::uint32_t restarts = 0; ///< workers that got a successor because they had ended
    std::string last_end{};     ///< how the last of them ended: "killed by SIGSEGV (core dumped)"
};

/// The cluster.
struct MasterStatus {
    std::string program{}; ///< its arguments, with spaces between
    std::string version{}; ///< cohort's: COHORT_VERSION_STRING
    pid_t pid = 0;
    std::chrono::milliseconds uptime{};
    std::uint64_t generation = 0; ///< reloads begun so far
    std::uint32_t wanted = 0;     ///< workers that there are to be
    bool stopping = false;
    bool given_up = false; ///< some slot was given up because its workers kept dying young
    std::vector<SlotStatus> slots{};
    std::vector<WorkerStatus> workers{}; ///< oldest first
};

/// A master's options: cohort::describe().
struct Description {
    std::string options{};
};

/// What workers have to answer.
struct Requests {
    std::vector<RequestInfo> requests{}; ///< oldest first, at most 1,000
};

struct Statistics {
    Stats stats;
    Totals totals;
};

/// An Event as it travels: with its place among all of this master, when it happened, and its error in words.
struct NumberedEvent {
    std::uint64_t number = 0; ///< from 1 on
    std::chrono::system_clock::time_point time{};
    WorkerState kind = WorkerState::forked;
    WorkerId worker = 0;
    unsigned slot = 0;
    pid_t pid = 0;
    std::optional<Endpoint> endpoint{};
    std::optional<ExitStatus> status{};
    bool voluntary = false;
    Failure error{};
};
/// A piece of what has happened.
struct Events {
    std::vector<NumberedEvent> events{};
    std::uint64_t missed = 0; ///< how many of those that were asked for the master does not have any more
    std::uint64_t next = 1;   ///< the number to ask for next
    bool ended = false;       ///< there will be no more: the last worker has ended and none will follow
};

struct Crash {
    std::uint64_t number = 0; ///< of the exited event
    CrashReport report{};
};
/// The last crashes, oldest first.
struct Crashes {
    std::vector<Crash> crashes{};
};

/// A line of the log (Options::logs).
struct LogLine {
    std::uint64_t number = 0; ///< from 1 on
    std::chrono::system_clock::time_point time{};
    WorkerId worker = 0; ///< 0: the master itself
    unsigned slot = 0;
    std::string stream{}; ///< "stdout", "stderr"; "cohort": what the library says in the master
    std::string text{};
    bool partial = false; ///< it was too long: the next one of this stream goes on with it
};
/// A piece of the log.
struct Logs {
    std::vector<LogLine> lines{};
    std::uint64_t missed = 0; ///< how many of those that were asked for the master does not have any more
    std::uint64_t next = 1;   ///< the number to ask for next
    bool ended = false;       ///< there will be no more: the last worker has ended and none will follow
};

/// How a reload, a restart or an upgrade went: a ReloadReport.
struct Outcome {
    std::uint32_t replaced = 0;
    Failure error{};
    std::optional<WorkerId> failed{};
    std::optional<ExitStatus> status{};

    explicit operator bool() const noexcept { return error.category.empty(); }
};

// Arguments

struct EventsFrom {
    std::uint64_t number = 1;
    std::uint32_t most = 256; ///< in one answer; the master gives no more than 256
};
struct LogsFrom {
    std::uint64_t number = 1;
    std::uint32_t most = 256; ///< in one answer; the master gives no more than 256
};
struct LogsOf {
    WorkerId worker = 0;
    std::uint32_t most = 50;
};
struct OfWorker {
    WorkerId worker = 0;
};
struct Signal {
    WorkerId worker = 0;
    std::int32_t number = 0;
};
struct Scale {
    std::uint32_t workers = 0;
};

} // namespace cohort::control

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/control/messages.ipp>
#endif

// SPDX-License-Identifier: MIT
// What the master keeps of each worker and of each slot (layer 4).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/channel/message_stream.hpp>
#include <cohort/detail/control/links.hpp>
#include <cohort/detail/process/launch.hpp>
#include <cohort/event.hpp>
#include <cohort/mode.hpp>
#include <cohort/stats.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <system_error>
#include <vector>

namespace cohort::detail {

/// The part of the shared page that a worker writes.
struct PartToShow {
    std::uint32_t cell;
    WorkerId worker;
    std::shared_ptr<const UniqueFd> memory;
};

/// Shared with the coroutines that wait for the worker; they check `abandoned` after every wait.
struct WorkerRecord : DispatchTarget {
    WorkerRecord(const asio::any_io_executor& executor, Identity identity, Launched launched,
                 std::shared_ptr<MessageStream> its_messages);

    WorkerInfo info() const noexcept { return {id, slot, pid, state, slow}; }
    /// Whether the process has ended, or the master has.
    bool is_over() const noexcept { return abandoned || state == WorkerState::exited; }
    /// What `grace` is set for, first the one, then the other.
    void end_lifetime();
    void kill() noexcept;

    pid_t pid;
    AsyncFd pidfd;
    std::shared_ptr<MessageStream> messages;
    Notifier drained; // the last message that had been read was received
    Timer grace;      // until it is asked to leave (WorkerOptions::lifetime), then until it is killed
    std::function<void(WorkerRecord&)> at_end_of_lifetime;
    bool in_line = false; // of the Mailbox
    WorkerState state = WorkerState::forked;
    unsigned group = 0;           // Assignment::group
    std::uint64_t generation = 0; // how many reloads had begun when it was started
    std::optional<int> stop_signal;
    bool kill_group = false; // with it
    bool is_program = false; // that knows nothing of cohort
    bool outlives_master = false;
    unsigned calls = 0; // of the pool, under way
    bool voluntary = false;
    bool to_be_replaced = false; // a signal has told it to leave
    unsigned endpoints() const noexcept { return static_cast<unsigned>(listeners.size() + bindings.size()); }
    std::set<ListenerId> listeners; // that it shares now
    std::set<BindingId> bindings;
    std::size_t unread_answers = 0;        // to what it has asked on its link
    std::vector<PartToShow> to_show;       // it was not given them yet
    std::map<unsigned, unsigned> visitors; // slots of peers since its link had sent all, and how often
    bool listened = false;
    bool announced = false;  // Worker::ready()
    bool reaped = false;     // the process is gone; its last words may not have been heard
    bool ready = false;      // it was, at some time
    bool slow = false;       // its event loop does not turn
    bool other_user = false; // it was to be one from the beginning
    bool refused = false;    // it has asked for something that its master may have and it may not
    bool abandoned = false;
    std::error_code error;
    std::vector<RequestInfo> unanswered; // when it was found stuck, or had crashed
    std::chrono::steady_clock::time_point born = std::chrono::steady_clock::now();
};

/// The living workers, oldest first.
using WorkerRecords = std::map<WorkerId, std::shared_ptr<WorkerRecord>>;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/worker_record.ipp>
#endif

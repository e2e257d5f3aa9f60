// SPDX-License-Identifier: MIT
// Mailbox: the messages of all workers, in turn, without a copy between a stream and its receiver (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/process/worker_record.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>

namespace cohort::detail {

/// A stream is read again only when what was read from it has been received: a master that does not keep up slows its
/// workers down, and holds no more than a buffer for each.
class Mailbox {
public:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    struct Owner {
        std::function<bool()> finished;                             ///< nobody will send any more
        std::function<void(WorkerRecord&, std::error_code)> refuse; ///< what the worker sends are no messages
    };

    Mailbox(const asio::any_io_executor& executor, Owner owner) : owner_(std::move(owner)), arrival_(executor) {}

    /// Brings in what the worker sends, until it ends. Throws on bytes that no worker sends.
    Task<> collect(RecordPtr record);
    /// The worker is dead: takes in what the kernel still has of it.
    void collect_last(const RecordPtr& record);

    /// Waits for a message of any worker. False: the last one has gone and none will come. Between the end of the wait
    /// and the next suspension of the caller nothing can take the message away.
    Task<bool> arrival();
    /// The worker whose message is next, if there is one; the message is at the front of its stream. Whoever takes the
    /// message says so with taken().
    WorkerRecord* next();
    bool has_mail() { return next() != nullptr; }
    void taken() {
        if (++in_turn_ == turn_length) end_turn(true);
    }
    /// The message of next() was none: nothing more is wanted of that worker.
    void refuse(WorkerRecord& record, std::error_code error) {
        owner_.refuse(record, error);
        drop();
    }
    /// Takes all messages and throws them away, until the last worker has gone.
    Task<> discard();
    void notify() { arrival_.notify_all(); }

private:
    static constexpr unsigned turn_length = 64; // messages of one worker before the next has its turn

    void end_turn(bool has_more);
    void drop() {
        filled_.front()->messages->abort();
        end_turn(false);
    }

    Owner owner_;
    Notifier arrival_;
    std::deque<RecordPtr> filled_;
    unsigned in_turn_ = 0;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/mailbox.ipp>
#endif

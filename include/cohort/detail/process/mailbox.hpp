// SPDX-License-Identifier: MIT
// Mailbox: the messages of all workers, in turn, without a copy between a stream and its receiver (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/channel/message_stream.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/event.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <list>
#include <memory>
#include <system_error>

namespace cohort::detail {

struct WorkerRecord;

/// A stream is read again only when what was read from it has been received: a master that does not keep up slows its
/// workers down, and holds no more than a buffer for each.
class Mailbox {
public:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    class Owner {
    public:
        /// Whether all workers have gone and none will be started.
        virtual bool finished() const = 0;
        /// Whether a call of a worker was received here that has no answer yet.
        virtual bool is_serving() const = 0;
        /// The worker has sent bytes that are not a message.
        virtual void on_bad_message(WorkerRecord& record, std::error_code error) = 0;

    protected:
        ~Owner() = default;
    };

    Mailbox(const asio::any_io_executor& executor, Owner& owner)
        : owner_(owner), arrival_(executor), patience_(executor) {}

    /// Reads the worker's messages until it ends. Throws on bytes that are not frames of its channel.
    Task<> collect(RecordPtr record);
    /// For a worker that is dead: reads what is left in its socket.
    void collect_last(const RecordPtr& record);

    /// Waits for a message of any worker. False: the last one has gone and none will come. Between the end of the wait
    /// and the next suspension of the caller nothing can take the message away.
    Task<bool> arrival();
    /// The stream whose message is next, if there is one; the message is at its front. Whoever takes the message says
    /// so with taken().
    MessageStream* next() {
        try {
            if (front_ != nullptr && front_->has_message()) return front_;
        } catch (const std::system_error&) {
            // find_next() meets it again.
        }
        return find_next();
    }
    bool has_mail() { return next() != nullptr; }
    /// Counts a message that is about to be taken: true when the event loop has to come round first.
    bool turn_is_over() noexcept { return turn_.is_over(); }
    /// The worker that sent the message of next().
    WorkerId sender() const noexcept { return sender_; }
    void taken() {
        used_ = true;
        if (++in_turn_ == turn_length) end_turn(true);
    }
    /// The message of next() could not be decoded: reads nothing more of that worker.
    void refuse(std::error_code error);
    /// Reads all messages and drops them, until the last worker has gone.
    Task<> discard();
    void notify() { arrival_.notify_all(); }
    /// Whoever waits gets Errc::closed.
    void close() { arrival_.close(); }
    /// Called when the cluster is to end: when nobody has received for a second, waits to, or owes an answer, workers
    /// would wait for their calls' answers until they are killed. Those calls get Errc::stopping; messages stay.
    void refuse_calls_unless_received();
    /// Nothing more of it: the last worker has gone.
    void end() { patience_.cancel(); }

private:
    static constexpr std::chrono::milliseconds unreceived{1'000};
    static constexpr unsigned turn_length = 64; // messages of one worker before the next has its turn

    MessageStream* find_next();
    void add(RecordPtr record);
    void end_turn(bool has_more);
    void look_for_receiver();
    void refuse_calls(WorkerRecord& record);

    Owner& owner_;
    Notifier arrival_;
    TurnBudget turn_;
    std::list<RecordPtr> filled_;
    MessageStream* front_ = nullptr; // of the first one, and whose it is
    WorkerId sender_ = 0;
    unsigned in_turn_ = 0;
    Timer patience_;
    bool used_ = false; // somebody has received, or begun to wait, since the last look
    bool ending_ = false;
    bool refusing_ = false; // calls that nobody will receive
    std::shared_ptr<bool> alive_ = share<bool>(true);
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/mailbox.ipp>
#endif

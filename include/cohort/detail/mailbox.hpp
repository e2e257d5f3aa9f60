// SPDX-License-Identifier: MIT
// Mailbox: the messages of all workers, in turn, without a copy between a stream and its receiver (layer 4).
#pragma once

#include <cohort/detail/notifier.hpp>
#include <cohort/detail/worker_record.hpp>

#include <deque>
#include <memory>
#include <system_error>

namespace cohort::detail {

/// A stream is read again only when what was read from it has been received: a master that does not keep up slows its
/// workers down, and holds no more than a buffer for each.
class Mailbox {
public:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    explicit Mailbox(const asio::any_io_executor& executor) : arrival_(executor) {}

    /// Brings in what the worker sends, until it ends. Throws on bytes that no worker sends.
    Task<> collect(RecordPtr record);
    /// The worker is dead: takes in what the kernel still has of it.
    void collect_last(const RecordPtr& record);

    /// The worker whose turn it is, with a message at the front of its stream; nobody: null. Whoever takes the message
    /// says so with taken(). `fault(record, error)` is told of a worker whose messages are none.
    template <class Fault>
    WorkerRecord* next(Fault fault);
    void taken() {
        if (++in_turn_ == turn_length) end_turn(true);
    }
    /// Nothing more is wanted of the worker whose turn it is.
    void drop() {
        filled_.front()->messages->abort();
        end_turn(false);
    }

    Task<> wait() { return arrival_.wait(); }
    void notify() { arrival_.notify_all(); }

private:
    static constexpr unsigned turn_length = 64; // messages of one worker before the next has its turn

    void end_turn(bool has_more);

    Notifier arrival_;
    std::deque<RecordPtr> filled_;
    unsigned in_turn_ = 0;
};

inline Task<> Mailbox::collect(RecordPtr record) {
    for (;;) {
        // Not as the loop's condition: GCC 12 compiles that wrongly.
        const bool more = co_await record->messages->fill();
        if (!more || record->is_over()) co_return;
        if (!record->messages->has_message()) continue;
        filled_.push_back(record);
        arrival_.resume_one();
        while (!record->is_over() && record->messages->has_message()) co_await record->drained.wait();
    }
}

inline void Mailbox::collect_last(const RecordPtr& record) {
    const bool is_in_line = record->messages->has_message();
    record->messages->drain();
    if (!is_in_line && record->messages->has_message()) filled_.push_back(record);
}

template <class Fault>
WorkerRecord* Mailbox::next(Fault fault) {
    while (!filled_.empty()) {
        WorkerRecord* const record = filled_.front().get();
        try {
            if (record->messages->has_message()) return record;
            const RecordPtr kept = filled_.front();
            end_turn(false);
            record->drained.notify_all();
        } catch (const std::system_error& error) {
            fault(*record, error.code());
            drop();
        }
    }
    return nullptr;
}

inline void Mailbox::end_turn(bool has_more) {
    in_turn_ = 0;
    if (has_more) filled_.push_back(filled_.front());
    filled_.pop_front();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// Mailbox: the messages of all workers, in turn, without a copy between a channel and its receiver (layer 4).
#pragma once

#include <cohort/detail/notifier.hpp>
#include <cohort/event.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <utility>

namespace cohort::detail {

/// A channel is read again only when what was read from it has been received: a master that does not keep up slows
/// its workers down, and holds no more than a buffer for each. `Record` has a channel, `drained`, and `is_over()`.
template <class Record>
class Mailbox {
public:
    using RecordPtr = std::shared_ptr<Record>;
    using Message = typename decltype(Record::channel)::In;
    using Letter = std::pair<WorkerId, Message>;

    explicit Mailbox(const asio::any_io_executor& executor) : arrival_(executor) {}

    /// Brings in what the worker sends, until it ends. Throws on bytes that no worker sends.
    Task<> collect(RecordPtr record);
    /// The worker is dead: takes in what the kernel still has of it.
    void collect_last(const RecordPtr& record);
    /// The next message that is here. `fault(record, error)` is told of a worker whose messages are none.
    template <class Fault>
    std::optional<Letter> next(Fault fault);

    Task<> wait() { return arrival_.wait(); }
    void notify() { arrival_.notify_all(); }

private:
    static constexpr unsigned turn_length = 64; // messages of one worker before the next has its turn

    void end_turn(bool has_more);

    Notifier arrival_;
    std::deque<RecordPtr> filled_;
    unsigned in_turn_ = 0;
};

template <class Record>
Task<> Mailbox<Record>::collect(RecordPtr record) {
    for (;;) {
        // Not as the loop's condition: GCC 12 breaks `continue` there.
        const bool more = co_await record->channel.stream().fill();
        if (!more || record->is_over()) co_return;
        if (!record->channel.has_message()) continue;
        filled_.push_back(record);
        arrival_.resume_one();
        while (!record->is_over() && record->channel.has_message()) co_await record->drained.wait();
    }
}

template <class Record>
void Mailbox<Record>::collect_last(const RecordPtr& record) {
    const bool is_in_line = record->channel.has_message();
    record->channel.stream().drain();
    if (!is_in_line && record->channel.has_message()) filled_.push_back(record);
}

template <class Record>
template <class Fault>
std::optional<typename Mailbox<Record>::Letter> Mailbox<Record>::next(Fault fault) {
    while (!filled_.empty()) {
        const RecordPtr record = filled_.front();
        std::optional<Message> message;
        try {
            message = record->channel.try_receive();
        } catch (const std::system_error& error) {
            fault(*record, error.code());
            record->channel.stream().abort();
        }
        if (!message || ++in_turn_ == turn_length) end_turn(message.has_value());
        if (message) return Letter{record->id, std::move(*message)};
        record->drained.notify_all();
    }
    return std::nullopt;
}

template <class Record>
void Mailbox<Record>::end_turn(bool has_more) {
    in_turn_ = 0;
    if (has_more) filled_.push_back(filled_.front());
    filled_.pop_front();
}

} // namespace cohort::detail

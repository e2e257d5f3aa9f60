// SPDX-License-Identifier: MIT
// The bodies of mailbox.hpp (layer 4).
#pragma once

#include <cohort/detail/process/mailbox.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/process/worker_record.hpp>

#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <utility>

namespace cohort::detail {

COHORT_DECL Task<> Mailbox::collect(RecordPtr record) {
    for (;;) {
        // Not as the loop's condition: GCC 12 compiles that wrongly.
        const bool more = co_await record->messages->fill();
        if (!more || record->is_over()) co_return;
        while (!record->is_over() && record->messages->has_front()) {
            if (!record->messages->has_message()) {
                co_await record->messages->answers_read();
                continue;
            }
            add(record);
            arrival_.resume_one();
            while (!record->is_over() && record->in_line) co_await record->drained.wait();
        }
    }
}

COHORT_DECL void Mailbox::collect_last(const RecordPtr& record) {
    record->messages->drain();
    if (!record->in_line && record->messages->has_message()) add(record);
}

COHORT_DECL void Mailbox::add(RecordPtr record) {
    if (refusing_) {
        refuse_calls(*record);
        if (!record->messages->has_message()) return;
    }
    record->in_line = true;
    filled_.push_back(std::move(record));
    front_ = filled_.front()->messages.get();
    sender_ = filled_.front()->id;
}

COHORT_DECL void Mailbox::refuse_calls_unless_received() {
    if (std::exchange(ending_, true)) return;
    used_ = false;
    patience_.expire_after(unreceived, action<&Mailbox::look_for_receiver>(this));
}

COHORT_DECL void Mailbox::look_for_receiver() {
    if (owner_.finished()) return;
    if (std::exchange(used_, false) || arrival_.has_waiters() || owner_.is_serving()) {
        patience_.expire_after(unreceived, action<&Mailbox::look_for_receiver>(this));
        return;
    }
    refusing_ = true;
    for (const RecordPtr& record : filled_) refuse_calls(*record);
}

COHORT_DECL void Mailbox::refuse_calls(WorkerRecord& record) {
    try {
        record.messages->refuse_calls(Errc::stopping);
    } catch (const std::system_error& error) {
        owner_.on_bad_message(record, error.code());
        record.messages->abort();
    }
}

COHORT_DECL void Mailbox::end_turn(bool has_more) {
    in_turn_ = 0;
    if (has_more)
        filled_.push_back(filled_.front());
    else
        filled_.front()->in_line = false;
    filled_.pop_front();
    front_ = filled_.empty() ? nullptr : filled_.front()->messages.get();
    if (front_ != nullptr) sender_ = filled_.front()->id;
}

COHORT_DECL MessageStream* Mailbox::find_next() {
    while (!filled_.empty()) {
        const RecordPtr record = filled_.front();
        try {
            if (record->messages->has_message()) return front_;
            end_turn(false);
            record->drained.notify_all();
        } catch (const std::system_error& error) {
            refuse(error.code());
        }
    }
    return nullptr;
}

COHORT_DECL void Mailbox::refuse(std::error_code error) {
    const RecordPtr record = filled_.front();
    owner_.on_bad_message(*record, error);
    record->messages->abort();
    end_turn(false);
}

COHORT_DECL Task<bool> Mailbox::arrival() {
    const std::weak_ptr<bool> alive = alive_;
    used_ = true;
    const bool steady = co_await switched();
    if (!steady || turn_is_over()) {
        co_await asio::post(asio::use_awaitable);
        throw_if_gone(alive);
        turn_.begin();
    }
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (has_mail()) co_return true;
        if (owner_.finished()) co_return false;
        co_await arrival_.wait();
        throw_if_gone(alive);
        turn_.begin();
    }
}

COHORT_DECL Task<> Mailbox::discard() {
    for (;;) {
        const bool arrived = co_await arrival();
        if (!arrived) co_return;
        for (auto* stream = next(); stream != nullptr; stream = turn_is_over() ? nullptr : next()) {
            stream->discard();
            taken();
        }
    }
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of mailbox.hpp (layer 4).
#pragma once

#include <cohort/detail/process/mailbox.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL Task<> Mailbox::collect(RecordPtr record) {
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

COHORT_DECL void Mailbox::collect_last(const RecordPtr& record) {
    const bool is_in_line = record->messages->has_message();
    record->messages->drain();
    if (!is_in_line && record->messages->has_message()) filled_.push_back(record);
}

COHORT_DECL WorkerRecord* Mailbox::next() {
    while (!filled_.empty()) {
        WorkerRecord* const record = filled_.front().get();
        try {
            if (record->messages->has_message()) return record;
            const RecordPtr kept = filled_.front();
            end_turn(false);
            record->drained.notify_all();
        } catch (const std::system_error& error) {
            refuse(*record, error.code());
        }
    }
    return nullptr;
}

COHORT_DECL Task<bool> Mailbox::arrival() {
    const bool steady = co_await switched();
    if (!steady) co_await asio::post(asio::use_awaitable);
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (has_mail()) co_return true;
        if (owner_.finished()) co_return false;
        co_await arrival_.wait();
    }
}

COHORT_DECL Task<> Mailbox::discard() {
    for (;;) {
        const bool arrived = co_await arrival();
        if (!arrived) co_return;
        while (auto* const record = next()) {
            record->messages->discard();
            taken();
        }
    }
}

COHORT_DECL void Mailbox::end_turn(bool has_more) {
    in_turn_ = 0;
    if (has_more) filled_.push_back(filled_.front());
    filled_.pop_front();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of call.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/call.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>
#include <cohort/serialize.hpp>

#include <vector>

namespace cohort::detail {

COHORT_DECL PendingAnswer::PendingAnswer(std::shared_ptr<FrameStream> stream, CallTable& table, FrameKind expected)
    : stream_(std::move(stream)),
      table_(table),
      timer_(stream_->executor()),
      expected_(expected),
      id_(table.add(*this)) {}

COHORT_DECL PendingAnswer::~PendingAnswer() {
    if (done_) return;
    table_.remove(id_);
    stream_->give_up(frame_);
    if (expected_ == FrameKind::reply) stream_->push(FrameKind::cancel, id_);
}

COHORT_DECL ServedCall::ServedCall(std::shared_ptr<FrameStream> stream, CallTable& table, std::uint64_t id)
    : stream_(std::move(stream)), table_(table), id_(id) {
    table_.add(id_, *this);
}

COHORT_DECL ServedCall::~ServedCall() {
    refuse(Errc::unanswered, {});
    end();
}

COHORT_DECL void ServedCall::cancel() {
    if (answered_) return;
    cancelled_ = true;
    signal_.emit(asio::cancellation_type::terminal);
}

COHORT_DECL std::uint64_t CallTable::add(PendingAnswer& answer) {
    pending_[++last_] = &answer;
    return last_;
}

COHORT_DECL void CallTable::remove(std::uint64_t id) noexcept { pending_.erase(id); }

COHORT_DECL void CallTable::add(std::uint64_t id, ServedCall& call) {
    served_.try_emplace(id, &call);
    if (given_up_.erase(id) != 0) call.cancel();
}

COHORT_DECL void CallTable::answered(const Frame& frame, Passed* passed) {
    const auto found = pending_.find(frame.header.correlation);
    if (found == pending_.end()) return;
    PendingAnswer& answer = *found->second;
    pending_.erase(found);
    answer.complete(frame, passed);
}

COHORT_DECL void CallTable::fail(PendingAnswer& answer, std::error_code error) {
    pending_.erase(answer.id());
    answer.complete(error);
}

COHORT_DECL void CallTable::fail_all(std::error_code error) {
    for (const auto& [id, answer] : std::exchange(pending_, {})) answer->complete(error);
}

COHORT_DECL void CallTable::remove(std::uint64_t id, const ServedCall& call) noexcept {
    const auto found = served_.find(id);
    if (found != served_.end() && found->second == &call) served_.erase(found);
}

COHORT_DECL bool CallTable::cancel(std::uint64_t id, bool in_turn) {
    const auto found = served_.find(id);
    if (found == served_.end()) {
        if (in_turn)
            given_up_.erase(id);
        else
            given_up_.try_emplace(id, nullptr);
        return false;
    }
    found->second->cancel();
    return true;
}

COHORT_DECL void CallTable::cancel_all() {
    std::vector<std::uint64_t> ids; // cancelling a call may destroy it, and so change served_
    for (const auto& [id, call] : served_) ids.push_back(id);
    for (const std::uint64_t id : ids) cancel(id, true);
}

COHORT_DECL void PendingAnswer::complete(std::error_code error, std::string what) {
    done_ = true;
    error_ = error;
    what_ = std::move(what);
    timer_.cancel();
}

COHORT_DECL void PendingAnswer::complete(const Frame& frame, Passed* passed) {
    if (frame.header.kind == expected_) return complete(take_reply(frame, passed));
    CallFailure failure;
    const bool is_failure = frame.header.kind == FrameKind::failure && !decode(frame.payload, failure);
    // A malformed failure must not pass for a reply.
    if (!is_failure || failure.error == 0) return complete(make_error_code(Errc::bad_frame));
    complete(make_error_code(static_cast<Errc>(failure.error)), std::move(failure.what));
}

COHORT_DECL bool is_loss(std::error_code error) noexcept {
    return error == std::errc::connection_reset || error == std::errc::broken_pipe || error == Errc::closed;
}

COHORT_LAZY COHORT_DECL Task<> PendingAnswer::wait(Timeout timeout) {
    timer_.expires_at(timeout.deadline());
    if (!done_) {
        std::error_code error;
        co_await until_expired(timer_, error);
        if (!done_ && !error) error = {ETIMEDOUT, std::system_category()};
        if (!done_) throw std::system_error(error, "call");
    }
    if (error_) throw std::system_error(error_, printable(what_));
}

COHORT_DECL void ServedCall::refuse(Errc error, std::string_view what) noexcept {
    if (!is_open()) return;
    end();
    refuse_call(*stream_, id_, error, what);
}

COHORT_DECL void ServedCall::end() noexcept {
    answered_ = true;
    table_.remove(id_, *this);
}

COHORT_DECL Task<> ServedCall::done() { co_return; }

COHORT_DECL QueuedFrame refuse_call(FrameStream& stream, std::uint64_t id, Errc error, std::string_view what) noexcept {
    try {
        return stream.push(FrameKind::failure, id, [&](Buffer& out, std::vector<int>&) {
            encode(CallFailure{static_cast<std::int32_t>(error), std::string(what.substr(0, max_hello / 2))}, out);
        });
    } catch (const std::exception&) {
        return {}; // the caller learns of it by the end of the stream
    }
}

COHORT_LAZY COHORT_DECL Task<> answer_of(std::shared_ptr<PendingAnswer> answer, Timeout timeout) {
    co_await answer->wait(timeout);
}

} // namespace cohort::detail

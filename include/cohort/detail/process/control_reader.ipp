// SPDX-License-Identifier: MIT
// The bodies of control_reader.hpp (layer 4).
#pragma once

#include <cohort/detail/process/control_reader.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/policy/observed_time.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>

namespace cohort::detail {

COHORT_DECL bool can_take_back(std::size_t waiting) noexcept {
    constexpr std::size_t most_waiting = 256;
    constexpr rlim_t reserve = 16; // for what this process does meanwhile
    return waiting <= most_waiting && can_open(waiting > 0 ? reserve : 1);
}

COHORT_DECL Task<> ControlReader::slow_down() {
    asio::steady_timer pause(context_, std::chrono::milliseconds(1));
    co_await until_expired(pause);
}

/// An honest worker asks for something and reads on; what is kept for one that does not costs memory and descriptors.
COHORT_DECL void ControlReader::handle(WorkerRecord& record, Packet& packet) {
    const std::size_t before = record.link->kept();
    owner_.handle(record, packet);
    const std::size_t kept = record.link->kept();
    record.unread_answers = std::min(record.unread_answers, before) + kept - std::min(before, kept);
    if (record.unread_answers > most_unread_answers) throw std::system_error(make_error_code(Errc::too_many));
}

COHORT_DECL std::size_t ControlReader::hear(WorkerRecord& record) {
    auto packet = record.link->try_receive();
    if (!packet) return 0;
    handle(record, *packet);
    return packet->payload.size() + 1;
}

COHORT_DECL Task<> ControlReader::listen(RecordPtr record) {
    for (bool more = true; more && !record->abandoned;) {
        if (must_slow_down(*record))
            co_await slow_down();
        else if (record->link->turn().is_over())
            co_await record->link->turn().let_others_go_on();
        else if (hear(*record) == 0)
            more = co_await record->link->arrival();
    }
}

COHORT_DECL Task<> ControlReader::finish(RecordPtr record) {
    const auto begin = std::chrono::steady_clock::now();
    // Of what has arrived by now: a process that the worker started may go on sending.
    for (std::size_t left = record->link->arrived(); left > 0 && !record->abandoned;) {
        if (!reached(std::chrono::steady_clock::now() - begin, patience_) && must_slow_down(*record)) {
            co_await slow_down();
        } else if (record->link->turn().is_over()) {
            co_await record->link->turn().let_others_go_on();
        } else {
            const std::size_t size = hear(*record);
            left = size == 0 ? 0 : left - std::min(left, size);
        }
    }
}

} // namespace cohort::detail

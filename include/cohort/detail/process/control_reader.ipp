// SPDX-License-Identifier: MIT
// The bodies of control_reader.hpp (layer 4).
#pragma once

#include <cohort/detail/process/control_reader.hpp>

#include <cohort/detail/config.hpp>

#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

namespace cohort::detail {

COHORT_DECL bool can_take_back(std::size_t waiting) noexcept {
    constexpr std::size_t most_waiting = 256;
    constexpr rlim_t reserve = 16; // for what this process does meanwhile
    return waiting <= most_waiting && can_open(waiting > 0 ? reserve : 1);
}

COHORT_DECL Task<> ControlReader::slow_down() {
    asio::steady_timer pause(context_, std::chrono::milliseconds(1));
    co_await pause.async_wait(asio::use_awaitable);
}

COHORT_DECL bool ControlReader::hear(WorkerRecord& record) {
    auto packet = record.link->try_receive();
    if (packet) owner_.handle(record, *packet);
    return packet.has_value();
}

COHORT_DECL Task<> ControlReader::listen(RecordPtr record) {
    for (bool more = true; more && !record->abandoned;) {
        if (must_slow_down(*record))
            co_await slow_down();
        else if (!hear(*record))
            more = co_await record->link->arrival();
    }
}

COHORT_DECL Task<> ControlReader::finish(RecordPtr record) {
    const auto begin = std::chrono::steady_clock::now();
    for (bool more = true; more && !record->abandoned;) {
        if (std::chrono::steady_clock::now() - begin < patience_ && must_slow_down(*record))
            co_await slow_down();
        else
            more = hear(*record);
    }
}

} // namespace cohort::detail

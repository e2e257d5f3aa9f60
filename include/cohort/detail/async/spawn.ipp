// SPDX-License-Identifier: MIT
// The bodies of spawn.hpp (layer 3).
#pragma once

#include <cohort/detail/async/spawn.hpp>

#include <cohort/detail/config.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>

#include <exception>
#include <utility>

namespace cohort::detail {

struct CallEnded {
    void operator()(const std::exception_ptr& failure) const {
        if (ended != nullptr) ended(object, failure != nullptr);
    }

    TaskEnded ended;
    std::shared_ptr<void> object;
};

COHORT_DECL void spawn(const asio::any_io_executor& executor, Task<> task, asio::cancellation_slot slot) {
    spawn(executor, std::move(task), slot, nullptr, nullptr);
}

COHORT_DECL void spawn(const asio::any_io_executor& executor, Task<> task, asio::cancellation_slot slot,
                       TaskEnded ended, std::shared_ptr<void> object) {
    CallEnded handler{ended, std::move(object)};
    asio::co_spawn(executor, std::move(task), asio::bind_cancellation_slot(slot, std::move(handler)));
}

} // namespace cohort::detail

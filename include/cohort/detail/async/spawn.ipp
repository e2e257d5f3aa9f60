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

struct DropResult {
    void operator()(const std::exception_ptr&) const noexcept {}
};

COHORT_DECL void spawn(const asio::any_io_executor& executor, Task<> task, asio::cancellation_slot slot) {
    asio::co_spawn(executor, std::move(task), asio::bind_cancellation_slot(slot, DropResult()));
}

} // namespace cohort::detail

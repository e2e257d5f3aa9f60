// SPDX-License-Identifier: MIT
// The bodies of scope.hpp (layer 5).
#pragma once

#include <cohort/scope.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/supervise/supervisor.hpp>

#include <system_error>

namespace cohort::detail {

COHORT_DECL WorkerGroup::WorkerGroup(MasterBase& master)
    : supervisor_(Access::supervisor(master)),
      lifetime_(supervisor_.lifetime()),
      number_(supervisor_.slot_manager().open_group()) {}

COHORT_DECL void WorkerGroup::close() {
    if (!lifetime_.expired()) supervisor_.slot_manager().close_group(number_);
}

COHORT_LAZY COHORT_DECL Task<> WorkerGroup::end() {
    for (bool gone = false; !gone;) {
        close();
        try {
            co_await supervisor_.until_gone(number_);
            gone = true;
        } catch (const std::system_error&) {
            // Cancelled while it waited: they have not gone yet.
        }
    }
}

} // namespace cohort::detail

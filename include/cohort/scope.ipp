// SPDX-License-Identifier: MIT
// The bodies of scope.hpp (layer 5).
#pragma once

#include <cohort/scope.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL Task<> WorkerGroup::end() {
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

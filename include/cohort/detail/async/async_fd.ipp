// SPDX-License-Identifier: MIT
// The bodies of async_fd.hpp (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL void AsyncFd::close() {
    if (fd_) [[maybe_unused]]
        const int lent = watch_.release();
    fd_.reset();
}

} // namespace cohort::detail

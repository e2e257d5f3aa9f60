// SPDX-License-Identifier: MIT
// The bodies of copy_guard.hpp (layer 3).
#pragma once

#include <cohort/detail/async/copy_guard.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/forked_copy.hpp>

#include <asio/io_context.hpp>

#include <pthread.h>

namespace cohort::detail {

COHORT_DECL void CopyGuard::protect(asio::io_context& of_context, Links its_links) {
    static const int registered = ::pthread_atfork(nullptr, nullptr, &CopyGuard::on_copy); // also in forked workers
    static_cast<void>(registered);
    is_forked_copy = false;
    context() = &of_context;
    links() = its_links;
}

COHORT_DECL void CopyGuard::on_copy() noexcept {
    if (forks_itself || context() == nullptr) return;
    int numbers[most_links] = {-1, -1};
    const int count = links() == nullptr ? 0 : links()(numbers);
    cut_off_from_parent(numbers, count);
    context()->stop();
}

} // namespace cohort::detail

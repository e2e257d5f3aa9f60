// SPDX-License-Identifier: MIT
// The bodies of copy_guard.hpp (layer 3).
#pragma once

#include <cohort/detail/async/copy_guard.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/fork.hpp>
#include <cohort/detail/system/forked_copy.hpp>

#include <asio/io_context.hpp>

#include <cstddef>

#include <pthread.h>

namespace cohort::detail {

COHORT_DECL CopyGuard::CopyGuard(asio::io_context& context, Links links)
    : context_(context), links_(links), of_loop_(event_loop_descriptors()) {
    static const int registered = ::pthread_atfork(nullptr, nullptr, &CopyGuard::on_copy); // also in forked workers
    static_cast<void>(registered);
    is_forked_copy = false;
    current() = this;
}

COHORT_DECL CopyGuard::~CopyGuard() {
    end_if_forked_copy();
    if (current() == this) current() = nullptr;
}

COHORT_DECL void CopyGuard::on_copy() noexcept {
    if (!forks_itself && current() != nullptr) current()->cut_off();
}

COHORT_DECL void CopyGuard::cut_off() noexcept {
    int links[most_links] = {-1, -1};
    const int count = links_ == nullptr ? 0 : links_(links);
    cut_off_from_parent({links, static_cast<std::size_t>(count)}, of_loop_);
    // Another thread's child does not come back there; and the loop's own thread, which is not here, may have locked
    // it.
    if (std::this_thread::get_id() == thread_) context_.stop();
}

} // namespace cohort::detail

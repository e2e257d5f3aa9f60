// SPDX-License-Identifier: MIT
// ChangeTurn: one reload, restart or upgrade at a time (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/reload.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

#include <memory>

namespace cohort::detail {

class ChangeTurn {
public:
    explicit ChangeTurn(const asio::any_io_executor& executor) : over_(executor) {}

    /// Until no change is under way. False: none is to begin any more, or this object has gone.
    Task<bool> wait();
    /// Has the turn until `change` has ended, however it does. The object may go meanwhile.
    Task<ReloadReport> take(Task<ReloadReport> change);
    /// None is to begin any more.
    void close() {
        closed_ = true;
        over_.notify_all();
    }

private:
    Notifier over_;
    bool taken_ = false;
    bool closed_ = false;
    std::shared_ptr<bool> alive_ = share<bool>(true);
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/reload/change_turn.ipp>
#endif

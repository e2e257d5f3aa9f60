// SPDX-License-Identifier: MIT
// RestartPolicy: whether a slot gets a new worker, and when, as a machine without clock or process (layer 1).
#pragma once

#include <cohort/exit_status.hpp>
#include <cohort/options.hpp>

#include <chrono>
#include <optional>

namespace cohort::detail {

/// One for each slot. It is told of every exit and answers with how long to wait before the successor is started.
class RestartPolicy {
public:
    using milliseconds = std::chrono::milliseconds;

    /// A worker that lived at least this long was no failed start.
    static constexpr milliseconds stable{1'000};
    /// So many short lives in a row are answered at once, the others after `delay`: a worker that cannot start must not
    /// keep the master busy.
    static constexpr unsigned burst = 3;
    static constexpr milliseconds delay{100};
    /// After so many short lives in a row the slot is given up.
    static constexpr unsigned limit = 16;

    explicit RestartPolicy(Restart restart) noexcept : restart_(restart) {}

    /// `voluntary`: the worker was asked to leave, or had said that it would. Empty: the slot stays empty.
    std::optional<milliseconds> on_exit(const ExitStatus& status, bool voluntary, milliseconds lived) noexcept {
        short_lives_ = lived < stable ? short_lives_ + 1 : 0;
        if (voluntary || restart_ == Restart::temporary) return std::nullopt;
        if (restart_ == Restart::transient && status.success()) return std::nullopt;
        if (has_given_up()) return std::nullopt;
        return short_lives_ > burst ? delay : milliseconds{0};
    }

    bool has_given_up() const noexcept { return short_lives_ >= limit; }

private:
    Restart restart_;
    unsigned short_lives_ = 0;
};

} // namespace cohort::detail

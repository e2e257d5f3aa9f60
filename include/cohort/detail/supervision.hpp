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

    /// A worker that lived at least this long had no short life.
    static constexpr milliseconds stable{1'000};
    /// So many short lives in a row are answered at once, the others after `delay`: a slot whose workers keep dying
    /// must not keep the master busy.
    static constexpr unsigned burst = 3;
    static constexpr milliseconds delay{100};
    /// After so many failed starts in a row the slot is given up.
    static constexpr unsigned limit = 16;

    explicit RestartPolicy(Restart restart) noexcept : restart_(restart) {}

    /// How a worker ended.
    struct End {
        ExitStatus status;
        bool voluntary = false; ///< it was asked to leave, or had said that it would
        bool listened = false;  ///< it had come as far as listening: this was no failed start
        milliseconds lived{};
    };

    /// Empty: the slot stays empty.
    std::optional<milliseconds> on_exit(const End& end) noexcept {
        const bool short_life = end.lived < stable;
        short_lives_ = short_life ? short_lives_ + 1 : 0;
        failed_starts_ = short_life && !end.listened && !end.status.success() ? failed_starts_ + 1 : 0;
        if (end.voluntary || restart_ == Restart::temporary) return std::nullopt;
        if (restart_ == Restart::transient && end.status.success()) return std::nullopt;
        if (has_given_up()) return std::nullopt;
        return short_lives_ > burst ? delay : milliseconds{0};
    }

    bool has_given_up() const noexcept { return failed_starts_ >= limit; }

private:
    Restart restart_;
    unsigned short_lives_ = 0;
    unsigned failed_starts_ = 0;
};

} // namespace cohort::detail

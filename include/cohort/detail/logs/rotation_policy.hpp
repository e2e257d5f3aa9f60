// SPDX-License-Identifier: MIT
// RotationPolicy: when a log begins a new file (layer 1).
#pragma once

#include <cohort/log_options.hpp>

#include <chrono>
#include <cstdint>

namespace cohort::detail {

/// Decides by what the file itself says, so that a restart changes nothing and two writers agree.
class RotationPolicy {
public:
    using Time = std::chrono::system_clock::time_point;

    struct File {
        std::uint64_t size = 0;
        Time last_written{};
    };

    explicit RotationPolicy(const LogOptions& options) noexcept
        : size_(options.rotate_size), every_(options.rotate_every) {}

    /// Before `more` bytes are written.
    bool is_due(const File& file, std::uint64_t more, Time now) const noexcept {
        if (file.size == 0) return false;
        if (size_ != 0 && file.size + more > size_) return true;
        return every_.count() > 0 && period_of(file.last_written) < period_of(now);
    }

private:
    std::int64_t period_of(Time time) const noexcept {
        return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch() / every_;
    }

    std::uint64_t size_;
    std::chrono::seconds every_;
};

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// Leadership: a role that one worker of the cluster has at a time (layer 1).
#pragma once

#include <functional>
#include <string>
#include <utility>

namespace cohort {

/// The result of Worker::leader. This worker holds the role until this object is destroyed or resigns, or the process
/// ends; then the next one that asked gets it. A master knows only its own workers: those of a master that was killed
/// or replaced (Master::upgrade) may, while they finish, still hold roles that its successor grants again.
class Leadership {
public:
    Leadership(std::string role, std::function<void()> give_up);
    Leadership(Leadership&& other) noexcept
        : role_(std::move(other.role_)), give_up_(std::exchange(other.give_up_, nullptr)) {}
    Leadership& operator=(Leadership&& other) noexcept;
    ~Leadership() { resign(); }

    /// Gives up the role: from here on another worker may get it. Repeating it has no effect.
    void resign() {
        if (const auto give_up = std::exchange(give_up_, nullptr)) give_up();
    }
    /// It has not been given up.
    bool is_held() const noexcept { return give_up_ != nullptr; }
    const std::string& role() const noexcept { return role_; }

private:
    std::string role_;
    std::function<void()> give_up_;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/leadership.ipp>
#endif

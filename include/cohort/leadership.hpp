// SPDX-License-Identifier: MIT
// Leadership: a role that one worker of the cluster has at a time (layer 1).
#pragma once

#include <functional>
#include <string>
#include <utility>

namespace cohort {

/// What Worker::leader gives. The role is this worker's until this object is destroyed, resigns, or the process ends;
/// then the next one that asked gets it. A master knows of its own workers only: while those of one that was killed, or
/// replaced (Master::upgrade), still finish, they may have roles that its successor gives out again.
class Leadership {
public:
    Leadership(std::string role, std::function<void()> give_up);
    Leadership(Leadership&& other) noexcept
        : role_(std::move(other.role_)), give_up_(std::exchange(other.give_up_, nullptr)) {}
    Leadership& operator=(Leadership&& other) noexcept;
    ~Leadership() { resign(); }

    /// Gives the role up now: from here on another worker may have it. Again does nothing.
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

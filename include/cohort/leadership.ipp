// SPDX-License-Identifier: MIT
// The bodies of leadership.hpp (layer 1).
#pragma once

#include <cohort/leadership.hpp>

#include <cohort/detail/config.hpp>

namespace cohort {

COHORT_DECL Leadership::Leadership(std::string role, std::function<void()> give_up)
    : role_(std::move(role)), give_up_(std::move(give_up)) {}

COHORT_DECL Leadership& Leadership::operator=(Leadership&& other) noexcept {
    if (this == &other) return *this;
    resign();
    role_ = std::move(other.role_);
    give_up_ = std::exchange(other.give_up_, nullptr);
    return *this;
}

} // namespace cohort

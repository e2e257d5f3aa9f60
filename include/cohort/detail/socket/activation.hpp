// SPDX-License-Identifier: MIT
// Socket activation: which descriptor a service manager has passed under a name, sd_listen_fds(3) (layer 2).
#pragma once

#include <cohort/error.hpp>

#include <optional>
#include <string_view>
#include <system_error>

namespace cohort::detail {

/// How the names of those begin that the service manager keeps for cohort itself (ListenerStore): no position stands
/// for them.
inline constexpr std::string_view stored_prefix = "cohort-";

/// What the service manager has put into the environment.
struct Activation {
    static constexpr int first_descriptor = 3; ///< the others follow it

    int count = 0;
    std::string_view names; ///< separated by ':', possibly fewer than descriptors

    /// By name, or else by position. Of several with one name, the first.
    std::optional<int> find(std::string_view wanted) const noexcept;
};

std::optional<int> parse_decimal(std::string_view text) noexcept;

/// Of this process: the variables are for the one whose number is in LISTEN_PID, not for its children.
Activation activation_from_environment() noexcept;

/// The number of the descriptor, or Errc::not_activated.
int activated_descriptor(std::string_view name, std::error_code& error) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/activation.ipp>
#endif

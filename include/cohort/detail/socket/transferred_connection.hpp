// SPDX-License-Identifier: MIT
// TransferredConnection: a connection on its way between processes (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace cohort::detail {

/// With the state passed on by the worker that served it before; new ones have none.
struct TransferredConnection {
    /// What fits in a message of the control link beside the rest.
    static constexpr std::size_t max_state = 4096;

    TransferredConnection() = default;
    TransferredConnection(UniqueFd its_connection, std::string its_state = {})
        : connection(std::move(its_connection)), state(std::move(its_state)) {}

    explicit operator bool() const noexcept { return static_cast<bool>(connection); }

    UniqueFd connection;
    std::string state;
};

} // namespace cohort::detail

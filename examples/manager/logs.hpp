// SPDX-License-Identifier: MIT
// The command `cohort logs`.
#pragma once

#include "app.hpp"

#include <cohort/task.hpp>

#include <asio/io_context.hpp>

#include <cstddef>
#include <string>

namespace manager {

struct LogWishes {
    std::size_t lines = 20; ///< the last ones of each app
    bool follow = false;
    bool errors_only = false; ///< what was written to standard error
    bool json = false;
    std::string grep{}; ///< what a line has in it
};

/// Prints the lines of these apps: what the file has, then what comes, until the app ends.
cohort::Task<> show_logs(asio::io_context& io, Places places, LogWishes wishes);

} // namespace manager

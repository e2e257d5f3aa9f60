// SPDX-License-Identifier: MIT
// How a command reaches the daemon, and starts it where there is none.
#pragma once

#include "home.hpp"

#include <cohort/control/client.hpp>

#include <asio/io_context.hpp>

namespace manager {

/// Without `start`: throws std::system_error where no daemon runs.
cohort::Task<cohort::control::Client> reach_daemon(asio::io_context& io, const Home& home, bool start);

} // namespace manager

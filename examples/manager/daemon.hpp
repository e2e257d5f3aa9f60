// SPDX-License-Identifier: MIT
// The daemon: which apps there are, and a supervisor for each that is to run.
#pragma once

namespace manager {

/// Serves the commands until it is told to end (SIGTERM, or the command kill), which ends all apps. Killed, it leaves
/// them running, and the next daemon adopts them. Returns the exit code.
int run_daemon();

} // namespace manager

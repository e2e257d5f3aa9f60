// SPDX-License-Identifier: MIT
// The commands of `cohort`.
#pragma once

#include <string>
#include <vector>

namespace manager {

/// Returns the exit code: 0; 1: it failed, and standard error says why; 2: it is no command that there is.
int run_command(const std::vector<std::string>& words);

} // namespace manager

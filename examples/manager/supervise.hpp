// SPDX-License-Identifier: MIT
// The supervisor of one app: a process of its own, so that neither the daemon nor another app can end it.
#pragma once

#include <cstdint>

namespace manager {

/// Runs the app of this number until it is told to end (SIGTERM), or all its instances have ended and none will
/// follow. Returns the exit code: 0 also then, so that nobody starts it again.
int supervise(std::uint32_t id);

} // namespace manager

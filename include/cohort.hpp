// SPDX-License-Identifier: MIT
// Everything that is public (layer 5).
#pragma once

// Ground: errors, tasks, connections
#include <cohort/acceptor.hpp>
#include <cohort/error.hpp>
#include <cohort/task.hpp>
#include <cohort/version.hpp>

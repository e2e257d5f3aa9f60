// SPDX-License-Identifier: MIT
// The bodies of orphan_reaper.hpp (layer 2).
#pragma once

#include <cohort/detail/system/orphan_reaper.hpp>

#include <cohort/detail/config.hpp>

#include <sys/prctl.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL bool inherits_orphans() noexcept {
    int is_subreaper = 0;
    return ::getpid() == 1 || (::prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) == 0 && is_subreaper != 0);
}

} // namespace cohort::detail

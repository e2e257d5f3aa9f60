// SPDX-License-Identifier: MIT
// AcceptedPeer: another worker's socket to this one (layer 3).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/event.hpp>

namespace cohort::detail {

struct AcceptedPeer {
    WorkerId from = 0;
    UniqueFd socket;
};

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of shared_address.hpp (layer 1).
#pragma once

#include <cohort/detail/socket/shared_address.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL bool SharedAddress::is_meant_by(const Endpoint& endpoint) const {
    const bool by_number = endpoint.port() == bound.port() && endpoint.host() == requested.host() &&
                           endpoint.v6_only() == requested.v6_only();
    return endpoint == requested || (by_number && endpoint.is_tcp() && requested.is_tcp());
}

} // namespace cohort::detail

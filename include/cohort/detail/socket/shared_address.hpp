// SPDX-License-Identifier: MIT
// SharedAddress: what makes two workers' requests the same port (layer 1).
#pragma once

#include <cohort/endpoint.hpp>

namespace cohort::detail {

/// An address that is open for whoever asks for it.
struct SharedAddress {
    Endpoint requested;
    Endpoint bound; ///< with the real address and port

    /// Whether `endpoint` means this address: requested as before, or with the port number assigned for port 0.
    bool is_meant_by(const Endpoint& endpoint) const;
    /// The slot whose socket this slot uses: a path and an inherited socket have only one.
    unsigned key(unsigned slot) const noexcept { return requested.is_tcp() ? slot : 0; }
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/shared_address.ipp>
#endif

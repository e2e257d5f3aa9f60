// SPDX-License-Identifier: MIT
// The bodies of mode.hpp (layer 3).
#pragma once

#include <cohort/mode.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/transferred_listeners.hpp>

namespace cohort {

COHORT_DECL Descriptor DispatchContext::open_listener(const Endpoint& endpoint, unsigned slot,
                                                      std::error_code& error) const {
    error.clear();
    if (Descriptor taken = detail::take_listener(transferred, endpoint, slot, false, options.backlog)) return taken;
    return detail::open_listener(endpoint, false, options.backlog, error);
}

COHORT_DECL ListenerId DispatchContext::acquire_listener() const { return page.acquire(); }

COHORT_DECL void DispatchContext::release_listener(ListenerId listener) const { page.release(listener); }

COHORT_DECL Endpoint local_endpoint(const Descriptor& listener) { return detail::local_endpoint(listener.get()); }

} // namespace cohort

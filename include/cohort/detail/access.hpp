// SPDX-License-Identifier: MIT
// Access: how the library reaches private members of its public classes (layer 0).
#pragma once

#include <utility>

namespace cohort::detail {

/// A friend of the public classes that other parts of the library build on. Not for programs.
struct Access {
    template <class M>
    static auto& supervisor(M& master) noexcept {
        return *master.supervisor_;
    }
    template <class M>
    static void drop_bus(M& master) noexcept {
        master.bus_.reset();
    }
    template <class W>
    static auto& core(W& worker) noexcept {
        return *worker.core_;
    }
    template <class S>
    static auto listener(S& socket) noexcept {
        return socket.listener_;
    }
    template <class C>
    static auto& stream(C& channel) noexcept {
        return *channel.stream_;
    }
    template <class C, class... Args>
    static C make_channel(Args&&... args) {
        return C(std::forward<Args>(args)...);
    }
    template <class M, class Body, class Options>
    static auto spawn_in(M& master, unsigned group, Body body, Options options) {
        return master.spawn_in(group, std::move(body), std::move(options));
    }
    template <class M>
    static auto& call(M& mail) noexcept {
        return mail.call_;
    }
    template <class M, class L>
    static void set_limits(M& mail, const L& limits) noexcept {
        mail.limits_ = limits;
    }
};

} // namespace cohort::detail

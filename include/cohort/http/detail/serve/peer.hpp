// SPDX-License-Identifier: MIT
// Who is at the other end of a connection, and what its servers tell each other of it (layer 3).
#pragma once

#include <cohort/acceptor.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace cohort::http::detail {

/// The state of a connection that is handed over: how many requests it has had, and behind a space the address from
/// its PROXY header, if it had one.
class Peer {
public:
    explicit Peer(std::string_view state);

    /// How many requests earlier servers have answered on it.
    std::size_t served() const noexcept { return served_; }

    /// Takes the client's address from a PROXY header; empty when the proxy itself is the client.
    void introduce(std::string address) noexcept {
        address_ = std::move(address);
        introduced_ = true;
    }
    bool introduced() const noexcept { return introduced_; }

    /// The client's address; the kernel is asked for it at the first call.
    std::string_view address(Socket& socket) {
        if (address_.empty()) address_ = address_of(socket);
        return address_;
    }

    /// Empty: nobody has asked for it yet.
    std::string_view known_address() const noexcept { return address_; }

    std::string state(std::size_t served) const {
        if (introduced_) return std::to_string(served) + " " + address_;
        return served == 0 ? std::string() : std::to_string(served);
    }

private:
    static std::string address_of(Socket& socket);

    std::string address_;
    std::size_t served_ = 0;
    bool introduced_ = false;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/peer.ipp>
#endif

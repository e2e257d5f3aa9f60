// SPDX-License-Identifier: MIT
// A kernel that counts calls, takes and gives little at a time, and fails when told to.
#pragma once

#include <cohort/detail/system/system.hpp>

#include <cerrno>
#include <cstddef>
#include <limits>

#include <sys/socket.h>
#include <sys/types.h>

namespace test {

/// Installed from its making to its end. A call fails with the errors set below before it gets to the kernel.
class FaultySystem final : public cohort::detail::System {
public:
    static constexpr std::size_t any = std::numeric_limits<std::size_t>::max();

    std::size_t most_sent = any;     ///< bytes that one send takes at most
    std::size_t most_received = any; ///< bytes that one recv gives at most
    int fail_every = 0;              ///< each call of a kind whose number is a multiple of this fails (0: none)
    int failure = EAGAIN;            ///< with this
    int fail_next = 0;               ///< so many calls fail, whatever their kind
    int accept_failure = 0;          ///< what every accept fails with (0: none)

    int sends = 0;
    int receives = 0;
    int datagrams_sent = 0;
    int datagrams_received = 0;
    int accepts = 0;

    ssize_t send(int fd, const msghdr* message) noexcept override;
    ssize_t recv(int fd, msghdr* message) noexcept override;
    ssize_t sendmsg(int fd, const msghdr* message) noexcept override;
    ssize_t recvmsg(int fd, msghdr* message) noexcept override;
    int accept(int fd) noexcept override;

private:
    bool fails(int number) noexcept;

    Replace installed_{*this};
};

} // namespace test

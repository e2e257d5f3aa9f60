// SPDX-License-Identifier: MIT
// A kernel that counts calls, takes and gives little at a time, and fails when told to.
#pragma once

#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <limits>

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

    ssize_t send(int fd, const msghdr* message) noexcept override {
        if (fails(++sends)) return -1;
        iovec part{message->msg_iov->iov_base, std::min(message->msg_iov->iov_len, most_sent)};
        msghdr shortened = *message;
        shortened.msg_iov = &part;
        return System::send(fd, &shortened);
    }
    ssize_t recv(int fd, msghdr* message) noexcept override {
        if (fails(++receives)) return -1;
        message->msg_iov->iov_len = std::min(message->msg_iov->iov_len, most_received);
        return System::recv(fd, message);
    }
    ssize_t sendmsg(int fd, const msghdr* message) noexcept override {
        if (fails(++datagrams_sent)) return -1;
        return System::sendmsg(fd, message);
    }
    ssize_t recvmsg(int fd, msghdr* message) noexcept override {
        if (fails(++datagrams_received)) return -1;
        return System::recvmsg(fd, message);
    }
    int accept(int fd) noexcept override {
        ++accepts;
        if (accept_failure != 0) {
            errno = accept_failure;
            return -1;
        }
        return System::accept(fd);
    }

private:
    bool fails(int number) noexcept {
        const bool told = fail_next > 0 && fail_next-- > 0;
        if (!told && (fail_every == 0 || number % fail_every != 0)) return false;
        errno = failure;
        return true;
    }

    Replace installed_{*this};
};

} // namespace test

// SPDX-License-Identifier: MIT
#include "faulty_system.hpp"

#include <algorithm>

namespace test {

ssize_t FaultySystem::send(int fd, const msghdr* message) noexcept {
    if (fails(++sends)) return -1;
    iovec part{message->msg_iov->iov_base, std::min(message->msg_iov->iov_len, most_sent)};
    msghdr shortened = *message;
    shortened.msg_iov = &part;
    return System::send(fd, &shortened);
}

ssize_t FaultySystem::recv(int fd, msghdr* message) noexcept {
    if (fails(++receives)) return -1;
    message->msg_iov->iov_len = std::min(message->msg_iov->iov_len, most_received);
    return System::recv(fd, message);
}

ssize_t FaultySystem::sendmsg(int fd, const msghdr* message) noexcept {
    if (fails(++datagrams_sent)) return -1;
    return System::sendmsg(fd, message);
}

ssize_t FaultySystem::recvmsg(int fd, msghdr* message) noexcept {
    if (fails(++datagrams_received)) return -1;
    return System::recvmsg(fd, message);
}

int FaultySystem::accept(int fd) noexcept {
    ++accepts;
    if (accept_failure != 0) {
        errno = accept_failure;
        return -1;
    }
    return System::accept(fd);
}

bool FaultySystem::fails(int number) noexcept {
    const bool told = fail_next > 0 && fail_next-- > 0;
    if (!told && (fail_every == 0 || number % fail_every != 0)) return false;
    errno = failure;
    return true;
}

} // namespace test

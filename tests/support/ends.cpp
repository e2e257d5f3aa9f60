// SPDX-License-Identifier: MIT
#include "ends.hpp"

#include "process.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace test {

namespace {

void set(Ends& ends, const int (&both)[2]) {
    ends.read = both[0];
    ends.write = both[1];
}

} // namespace

Ends::~Ends() {
    for (const int fd : {read, write})
        if (fd >= 0) ::close(fd);
}

std::string Ends::drain() const {
    std::string text;
    char buffer[65536];
    while (readable_within(read, std::chrono::milliseconds(100))) {
        const ssize_t count = ::read(read, buffer, sizeof buffer);
        if (count <= 0) break;
        text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
}

void Ends::stop_reading() { ::close(std::exchange(read, -1)); }

void make_pipe(Ends& ends) {
    int both[2];
    REQUIRE(::pipe2(both, O_CLOEXEC) == 0);
    set(ends, both);
}

void make_sockets(Ends& ends) {
    int both[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
    set(ends, both);
}

void make_terminal(Ends& ends) {
    ends.read = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(ends.read >= 0);
    REQUIRE(::grantpt(ends.read) == 0);
    REQUIRE(::unlockpt(ends.read) == 0);
    ends.write = ::open(::ptsname(ends.read), O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(ends.write >= 0);
}

} // namespace test

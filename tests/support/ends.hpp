// SPDX-License-Identifier: MIT
// What a program may have as a standard stream, with the other end of it.
#pragma once

#include <string>

namespace test {

/// Two ends of something; closed at the end.
struct Ends {
    Ends() = default;
    Ends(const Ends&) = delete;
    Ends& operator=(const Ends&) = delete;
    ~Ends();

    /// What can be read without waiting for more than a moment.
    std::string drain() const;
    void stop_reading();

    int read = -1;
    int write = -1;
};

void make_pipe(Ends& ends);
void make_sockets(Ends& ends);
void make_terminal(Ends& ends);

} // namespace test

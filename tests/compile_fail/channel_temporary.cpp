// SPDX-License-Identifier: MIT
// A temporary message in a co_await expression, with a compiler that would destroy it twice.
// only: \) 12\.
// expect-first: cohort: g\+\+ 12 destroys a temporary message twice
#include <cohort/channel.hpp>

struct Hit {
    std::string path;
};

cohort::Task<> send(cohort::Channel<Hit>& channel) { co_await channel.send({"/"}); }

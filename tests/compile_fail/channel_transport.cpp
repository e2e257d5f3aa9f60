// SPDX-License-Identifier: MIT
// A channel over something that carries none.
// expect-first: cohort: the second argument of Channel must be what carries it
#include <cohort/channel.hpp>

struct Hit {
    std::string path;
};
struct Pigeon {};

auto size = sizeof(cohort::Channel<Hit, Pigeon>);

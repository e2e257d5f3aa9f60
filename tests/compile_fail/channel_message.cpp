// SPDX-License-Identifier: MIT
// A channel of something that cannot be sent.
// expect-first: cohort: this type cannot be a message: it holds a raw pointer
#include <cohort/channel.hpp>

struct Hit {
    const char* path;
};

auto size = sizeof(cohort::Channel<Hit>);

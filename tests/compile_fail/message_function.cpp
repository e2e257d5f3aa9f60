// SPDX-License-Identifier: MIT
// A message with a callback.
// expect-first: cohort: this type cannot be a message: a function or callback cannot be sent
// expect: (Culprit = |Fault::function, )std::function
#include <cohort/serialize.hpp>

#include <functional>

struct Hit {
    std::function<void()> callback;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

// SPDX-License-Identifier: MIT
// A message with a reference.
// expect-first: cohort: this type cannot be a message: a message and its members must be assignable.* reference
// expect: (Culprit = |Fault::reference, )Hit
#include <cohort/serialize.hpp>

struct Hit {
    int number;
    int& counter;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

// SPDX-License-Identifier: MIT
// A message that is an aggregate with a base class.
// expect-first: cohort: this type cannot be a message: an aggregate with a base class
// expect: (Culprit = |Fault::base, )Hit
#include <cohort/serialize.hpp>

struct Base {
    int number;
};

struct Hit : Base {
    int other;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

// SPDX-License-Identifier: MIT
// A message with a union.
// expect-first: cohort: this type cannot be a message: nobody knows which member of a union.* Use std::variant
// expect: (Culprit = |Fault::union_type, )Either
#include <cohort/serialize.hpp>

union Either {
    int number;
    float fraction;
};

struct Hit {
    Either either;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

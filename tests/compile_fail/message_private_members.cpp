// SPDX-License-Identifier: MIT
// A message whose members are private, and that has no serialize function.
// expect-first: cohort: this type cannot be a message: it is neither an aggregate.* serialize
// expect: (Culprit = |Fault::opaque, )Secret
#include <cohort/serialize.hpp>

#include <vector>

class Secret {
public:
    int value() const { return value_; }

private:
    int value_ = 0;
};

struct Hit {
    std::vector<Secret> secrets;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

// SPDX-License-Identifier: MIT
// A message with a shared pointer.
// expect-first: cohort: this type cannot be a message: of the smart pointers only std::unique_ptr
// expect: (Culprit = |Fault::owner, )std::shared_ptr
#include <cohort/serialize.hpp>

#include <memory>

struct Hit {
    std::shared_ptr<int> number;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

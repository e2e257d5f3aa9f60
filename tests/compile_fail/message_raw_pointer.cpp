// SPDX-License-Identifier: MIT
// A message with a raw pointer.
// expect-first: cohort: this type cannot be a message: it holds a raw pointer.* Hold the value itself
// expect: (Culprit = |Fault::pointer, )char ?\*
#include <cohort/serialize.hpp>

#include <string>

struct Hit {
    std::string path;
    char* text;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

// SPDX-License-Identifier: MIT
// A key of connections that takes something else.
// expect-first: cohort: the key of Sticky and ByKey must be a type that is made without arguments
#include <cohort/mode/sticky.hpp>

#include <cstdint>

struct Number {
    std::uint64_t operator()(int descriptor) { return static_cast<std::uint64_t>(descriptor); }
};

cohort::Sticky<Number> mode;

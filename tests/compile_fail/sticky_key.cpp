// SPDX-License-Identifier: MIT
// A key of connections that is no number.
// expect-first: cohort: the key of Sticky and ByKey must be a type that is made without arguments
#include <cohort/master.hpp>
#include <cohort/mode/sticky.hpp>

#include <string>

struct Hit {
    std::string path;
};
struct Path {
    std::string operator()(const cohort::Arrival&) { return "/"; }
};

auto size = sizeof(cohort::Master<Hit, cohort::Sticky<Path>>);

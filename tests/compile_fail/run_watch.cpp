// SPDX-License-Identifier: MIT
// A function for the master that takes the worker.
// expect-first: cohort: the master's function given to run must be callable as Task<>\(App&\)
#include <cohort/run.hpp>

struct Hit {
    std::string path;
};
using App = cohort::Master<Hit>;

cohort::Task<> work(App::Worker&) { co_return; }
int start() { return cohort::run<App>({}, work, work); }

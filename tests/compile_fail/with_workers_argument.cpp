// SPDX-License-Identifier: MIT
// A function for the master that takes the worker.
// expect-first: cohort: the master's function given to with_workers must be callable as Task<T>\(App&\)
#include <cohort/scope.hpp>

struct Hit {
    std::string path;
};
using App = cohort::Master<Hit>;

cohort::Task<> work(App::Worker&) { co_return; }
auto start(App& app) { return cohort::with_workers(app, 4, work, work); }

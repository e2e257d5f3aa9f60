// SPDX-License-Identifier: MIT
// A worker body that is no coroutine.
// expect-first: cohort: a worker body must be callable as Task<>\(App::Worker&\) or Task<int>\(App::Worker&\)
#include <cohort/master.hpp>

struct Hit {
    std::string path;
};
using App = cohort::Master<Hit>;

void work(App::Worker&) {}
void start(App& app) { app.spawn(work); }

// SPDX-License-Identifier: MIT
// cohort: a process manager for programs of any kind, on the library of that name.
// Run:    cohort start server.js -i 3 --listen 127.0.0.1:8080
// Expect: a table of three instances that share the port; `cohort help` lists what can be done with them.
#include "commands.hpp"

int main(int argc, char** argv) { return manager::run_command({argv + 1, argv + argc}); }

// One worker for each CPU: each says that it has started, and ends.
// Run:    hello_workers
// Expect: the master's line, then "Worker <pid> started and finished" once for each CPU; exit code 0.

#include <cohort.hpp>

#include <iostream>

using namespace cohort;

struct Nothing {};
using App = Master<Nothing>;

Task<> say_hello(App::Worker& self) {
    std::cout << "Worker " << self.pid() << " started and finished" << std::endl;
    co_return;
}

int main() {
    std::cout << "Master " << ::getpid() << " is running" << std::endl;
    return run<App>({.restart = Restart::temporary}, say_hello);
}

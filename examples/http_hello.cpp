// A web server on all CPUs: every worker answers on the same port.
// Run:    http_hello [PORT]     (3000 by default), then: curl http://localhost:3000/
// Expect: "Hello World from worker <id>", now from one worker, now from another. Ctrl-C stops it.

#include <cohort.hpp>

#include <iostream>

using namespace cohort;

struct Nothing {};
using App = Master<Nothing>;

Task<http::Response> hello(App::Worker& self, const http::Request&) {
    co_return http::text("Hello World from worker " + std::to_string(self.id()) + "\n");
}

Task<> serve(App::Worker& self) {
    auto listener = co_await self.listen(self.args().at(0));
    std::cout << "Worker " << self.id() << " listens on " << listener.endpoint().to_string() << std::endl;
    co_await http::serve(self, listener, hello);
}

int main(int argc, char** argv) { return run<App>({.worker = {.args = {argc > 1 ? argv[1] : "3000"}}}, serve); }

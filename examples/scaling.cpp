// As many workers as the connections need: one for every eight, from one to four.
// Run:    scaling [PORT]        (3000 by default), then: wrk -c 32 -t 1 -d 10 http://localhost:3000/
// Expect: the master tells of each worker that comes, and after the end of wrk of each that goes.

#include <cohort.hpp>

#include <iostream>

using namespace cohort;
using namespace std::chrono_literals;

struct Nothing {};
using App = Master<Nothing>;

Task<http::Response> hello(const http::Request&) { co_return http::text("Hello World\n"); }

Task<> serve(App::Worker& self) {
    auto listener = co_await self.listen(self.args().at(0));
    co_await http::serve(self, listener, hello);
}

Task<> tell(App& master) {
    while (const auto event = co_await master.next_event()) {
        if (event->kind == WorkerState::listening)
            std::cout << "Worker " << event->worker << " listens on " << event->endpoint->to_string() << std::endl;
        if (event->kind == WorkerState::exited) std::cout << "Worker " << event->worker << " has gone" << std::endl;
    }
}

int main(int argc, char** argv) {
    const Autoscale autoscale{.most = 4, .load_per_worker = 8, .interval = 50ms, .down_after = 10};
    return run<App>({.autoscale = autoscale, .worker = {.args = {argc > 1 ? argv[1] : "3000"}}}, tell, serve);
}

// A worker that dies after each request, and a master that forks another.
// Run:    respawn [PORT]        (3000 by default), then: curl http://localhost:3000/ several times
// Expect: "Hello World" each time; the master tells of each death and of each new worker. Ctrl-C stops it.

#include <cohort.hpp>

#include <iostream>

using namespace cohort;

struct Nothing {};
using App = Master<Nothing>;

struct OneConnection { // an Acceptor: one connection, then no more
    Listener& listener;
    bool given = false;

    Task<std::optional<Socket>> accept() {
        if (std::exchange(given, true)) co_return std::nullopt;
        co_return co_await listener.accept();
    }
};

Task<http::Response> hello(const http::Request&) { co_return http::text("Hello World\n"); }

Task<int> serve_once(App::Worker& self) {
    auto listener = co_await self.listen(self.args().at(0));
    OneConnection once{listener};
    const http::ServerOptions options{.max_requests = 1};
    co_await http::serve(once, hello, options);
    co_return self.stopping() ? 0 : 1;
}

Task<> tell(App& master) {
    while (const auto event = co_await master.next_event()) {
        if (event->kind == WorkerState::listening)
            std::cout << "Worker " << event->pid << " listens on " << event->endpoint->to_string() << std::endl;
        if (event->kind == WorkerState::exited)
            std::cout << "Worker " << event->pid << " died: " << event->status->describe() << std::endl;
    }
}

int main(int argc, char** argv) {
    return run<App>({.worker = {.args = {argc > 1 ? argv[1] : "3000"}}}, tell, serve_once);
}

// A graceful end: stop accepting, finish what is under way, clean up; by force after 5 seconds.
// Run:    graceful [PORT]       (3000 by default), then: curl http://localhost:3000/sleep/2000 & and Ctrl-C
// Expect: the request is answered, then each worker cleans up and the program ends with code 0.

#include <cohort.hpp>

#include <asio/steady_timer.hpp>

#include <iostream>

using namespace cohort;
using namespace std::chrono_literals;

struct Nothing {};
using App = Master<Nothing>;

void clean_up(const App::Worker& self) { // database connections, files, ...
    std::cout << "Worker " << self.id() << " cleaned up" << std::endl;
}

Task<http::Response> sleep_a_while(const http::Request& request) {
    const std::string text(request.param("ms").value_or("0"));
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(std::atoi(text.c_str())));
    co_await timer.async_wait(asio::use_awaitable);
    co_return http::text("slept " + text + " ms\n");
}

Task<> serve(App::Worker& self) {
    http::Router<App::Worker> router;
    router.get("/sleep/:ms", sleep_a_while);

    auto listener = co_await self.listen(self.args().at(0));
    std::cout << "Worker " << self.id() << " listens on " << listener.endpoint().to_string() << std::endl;
    co_await http::serve(self, listener, router); // returns when the program is stopping and the last answer is sent
    clean_up(self);
}

int main(int argc, char** argv) {
    return run<App>({.grace = 5s, .worker = {.args = {argc > 1 ? argv[1] : "3000"}}}, serve);
}

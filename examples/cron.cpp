// A job that is done by one worker at a time: when that dies, another one goes on.
// Run:    cron [MILLISECONDS]   (from one time to the next, 1000 by default)
// Expect: always the same worker says that it does the job; kill -9 it, and another one does. Ctrl-C stops it.

#include <cohort.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>

#include <iostream>

using namespace cohort;
using namespace asio::experimental::awaitable_operators;

struct Nothing {};
using App = Master<Nothing>;

Task<> do_the_job(App::Worker& self) {
    const std::chrono::milliseconds interval(std::atoi(self.args().at(0).c_str()));
    const auto leadership = co_await self.leader("cron"); // waits until this worker leads; it leads until it ends
    asio::steady_timer timer(self.context());
    while (!self.stopping()) {
        std::cout << "Worker " << self.pid() << " does the job" << std::endl;
        timer.expires_after(interval);
        co_await (timer.async_wait(asio::use_awaitable) || self.until_stopping());
    }
}

int main(int argc, char** argv) {
    return run<App>({.workers = 4, .worker = {.args = {argc > 1 ? argv[1] : "1000"}}}, do_the_job);
}

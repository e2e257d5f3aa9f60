// A scheduler of one's own: of two workers at random, the one that has less to do ("the power of two choices").
// Run:    two_choices [PORT]
// Expect: curl http://localhost:8080/ says which worker answered; after Ctrl-C, what each slot has had.

#include <cohort.hpp>

#include <iostream>
#include <random>

using namespace cohort;

struct TwoChoices {
    std::size_t choose(const Arrival&, std::span<const Candidate> workers) {
        const std::size_t one = random() % workers.size();
        const std::size_t other = random() % workers.size();
        const bool prefer_one = workers[one].room > 0 && workers[one].load() <= workers[other].load();
        return prefer_one ? one : other; // without room the connection waits, and choose() is called again
    }

    std::minstd_rand random{std::random_device{}()};
};

struct Nothing {};
using App = Master<Nothing, Scheduled<TwoChoices>>;

Task<http::Response> who(App::Worker& self, const http::Request&) {
    co_return http::text("worker " + std::to_string(self.id()) + "\n");
}

Task<> serve(App::Worker& self) {
    auto listener = co_await self.listen(Endpoint(self.args().at(0)));
    co_await http::serve(self, listener, who);
}

Task<> watch(App& app) {
    bool told = false;
    while (const auto event = co_await app.next_event()) {
        if (event->kind != WorkerState::listening || std::exchange(told, true)) continue;
        std::cout << "listening on " << event->endpoint->to_string() << std::endl;
    }
    for (const auto& slot : app.stats().slots)
        std::cout << "slot " << slot.slot << ": " << slot.accepted << " connections" << std::endl;
}

int main(int argc, char** argv) {
    const std::string endpoint = argc > 1 ? argv[1] : "8080";
    return run<App>({.workers = 4, .listen = {Endpoint(endpoint)}, .worker = {.args = {endpoint}}}, watch, serve);
}

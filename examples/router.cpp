// Routes with parameters, in the manner of Express.
// Run:    router [PORT]         (3000 by default), then: curl http://localhost:3000/hello/John
// Expect: "Hello John !!!"; without a name "Hello World !!!"; anything else is 404. Ctrl-C stops it.

#include <cohort.hpp>

#include <iostream>

using namespace cohort;

struct Nothing {};
using App = Master<Nothing>;

Task<http::Response> hello(const http::Request& request) {
    const auto name = request.param("name");
    co_return http::text("Hello " + std::string(name.value_or("World")) + " !!!\n");
}

Task<> serve(App::Worker& self) {
    http::Router<App::Worker> router;
    router.get("/hello/:name?", hello);

    auto listener = co_await self.listen(self.args().at(0));
    std::cout << "App listening on port " << listener.port() << std::endl;
    co_await http::serve(self, listener, router);
}

int main(int argc, char** argv) {
    return run<App>({.workers = 1, .worker = {.args = {argc > 1 ? argv[1] : "3000"}}}, serve);
}

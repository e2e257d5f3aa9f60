// A web server that speaks TLS; the same handler as without.
// Run:    https_hello CHAIN.pem KEY.pem [PORT]   (3443 by default), then: curl -k https://localhost:3443/
// Expect: "Hello 127.0.0.1, nobody else can read this". After `kill -HUP` new workers have read the files anew.

#include <cohort.hpp>
#include <cohort/http/tls.hpp>

#include <iostream>

using namespace cohort;

struct Nothing {};
using App = Master<Nothing>;

Task<http::Response> hello(const http::Request& request) {
    co_return http::text("Hello " + std::string(request.client_address()) + ", nobody else can read this\n");
}

Task<> serve(App::Worker& self) {
    auto context = http::tls_context(self.args().at(0), self.args().at(1));
    auto listener = co_await self.listen(Endpoint(self.args().at(2)));
    http::TlsAcceptor secure(listener, context);
    std::cout << "worker " << self.id() << " listens on " << listener.endpoint().to_string() << std::endl;
    co_await http::serve(secure, hello);
}

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: https_hello CHAIN.pem KEY.pem [PORT]\n";
        return 2;
    }
    return run<App>({.workers = 1, .worker = {.args = {argv[1], argv[2], argc > 3 ? argv[3] : "3443"}}}, serve);
}

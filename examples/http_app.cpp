// A web application made of parts: middleware, a router within a router, a form, a cookie, files, events.
// Run:    http_app [FOLDER [PORT]]   (this folder and 8080), then: curl -d name=Ann -c jar localhost:8080/name
// Expect: `curl -b jar localhost:8080/api/me` greets Ann, without the cookie it is 401 in JSON; /api/clock ticks;
//         /livez, /readyz and /metrics are for those who watch it; the rest are files. Each request is a line of a log.

#include <cohort.hpp>

#include <asio/steady_timer.hpp>

#include <chrono>
#include <string>

#include <unistd.h>

using namespace cohort;
using namespace std::chrono_literals;

struct Nothing {};
using App = Master<Nothing>;

// Around everything: how long it took, for the network panel of a browser.
Task<http::Response> timed(const http::Request&, http::Next next) {
    const auto begun = std::chrono::steady_clock::now();
    http::Response response = co_await next();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
    response.add("Server-Timing", "app;dur=" + std::to_string(took.count()));
    co_return response;
}

// Before a part of it: no coroutine is needed where nothing is awaited.
Task<http::Response> only_with_name(const http::Request& request, http::Next next) {
    if (!request.cookie("name")) throw http::Error(401, "who are you?");
    return next();
}

Task<http::Response> explain(const http::Request&, std::exception_ptr failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const http::Error& error) {
        co_return http::json("{\"error\":" + std::to_string(error.status()) + "}\n").status(error.status());
    }
}

Task<http::Response> set_name(const http::Request& request) {
    const http::Form form = co_await request.form();
    const std::string name(form.get("name").value_or(""));
    if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != name.npos)
        throw http::Error(422);
    co_return http::redirect("/api/me", 303).set_cookie({.name = "name", .value = name, .max_age = 24h});
}

Task<http::Response> me(const http::Request& request) {
    co_return http::json("{\"hello\":\"" + std::string(*request.cookie("name")) + "\"}\n");
}

// It has no end of its own: when the worker leaves, the wait ends, and the response with it.
Task<> tick(http::EventStream& stream) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (int count = 1;; ++count) {
        const std::string data = std::to_string(count);
        co_await stream.send({.data = data, .name = "tick", .id = data});
        timer.expires_after(200ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
}
Task<http::Response> watch_clock(const http::Request&) { co_return http::events(tick); }

// Nobody waits for a terminal that stands still, or for a full pipe or disk.
LineLog output(STDOUT_FILENO);
void write_log(const http::Access& access) { output.write(http::to_combined(access)); }

Task<> serve(App::Worker& self) {
    http::Router<> api;
    api.use("/me", only_with_name).on_error(explain).get("/me", me).get("/clock", watch_clock);

    http::Router<App::Worker> router;
    router.use(timed).mount("/api", api).post("/name", set_name);
    router.mount("/", monitoring::endpoints<App::Worker>());
    router.get("/*path", http::Files(self.args().at(0), {.cache_control = "max-age=60"}));

    auto listener = co_await self.listen(Endpoint(self.args().at(1)));
    output.write("http_app: listening on port " + std::to_string(listener.port()));
    const http::ServerOptions options{.access_log = write_log};
    co_await http::serve(self, listener, router, options);
}

int main(int argc, char** argv) {
    const WorkerOptions worker{.args = {argc > 1 ? argv[1] : ".", argc > 2 ? argv[2] : "8080"}};
    return run<App>({.workers = 1, .worker = worker}, serve);
}

// SPDX-License-Identifier: MIT
// What stands between a router and its handlers: middleware, mounted routers, who answers when there is none.
#include <cohort/http/middleware.hpp>

#include "support/handling.hpp"

#include <cohort/http/router.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

using namespace cohort;
using test::answer_of;
using test::ask;

namespace {

/// Writes its name around what is inside of it.
struct Around {
    std::string name;

    Task<http::Response> operator()(const http::Request& request, http::Next next) const {
        return answer(name, request, next);
    }
    static Task<http::Response> answer(std::string name, const http::Request& request, http::Next next) {
        if (const auto id = request.param("id")) name += "#" + *id;
        http::Response response = co_await next();
        response.body(name + "(" + response.body() + ")");
        co_return response;
    }
};

/// Answers with its name.
struct Says {
    std::string name;

    Task<http::Response> operator()(const http::Request&) const { return answer(name); }
    static Task<http::Response> answer(std::string name) { co_return http::text(name); }
};

Task<http::Response> deny(const http::Request&, http::Next) { co_return http::status(403); }
Task<http::Response> fail(const http::Request&) {
    throw std::runtime_error("failed");
    co_return http::Response();
}
Task<http::Response> fail_before(const http::Request&, http::Next) {
    throw http::Error(401, "who is it?");
    co_return http::Response();
}
Task<http::Response> fail_at_once(const http::Request&) { throw std::runtime_error("failed at once"); }

std::string what(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        return error.what();
    }
}
Task<http::Response> explain(const http::Request&, std::exception_ptr failure) { co_return http::text(what(failure)); }
Task<http::Response> fail_to_explain(const http::Request&, std::exception_ptr) {
    throw std::runtime_error("cannot explain");
}

Task<http::Response> pass_on(const http::Request&, std::exception_ptr failure) {
    std::rethrow_exception(failure);
    co_return http::Response();
}

std::string body_of(const http::Router<>& router, std::string_view target) { return ask(router, "GET", target).body; }

struct Counted {
    int counted = 0;
};

} // namespace

TEST_CASE("middleware is called in its order, before and behind the handler") {
    http::Router<> router;
    router.use(Around{"a"}).get("/x", Says{"x"}).use("/x", Around{"b"}).use("/y", Around{"y"}).use(Around{"c"});
    CHECK(body_of(router, "/x") == "a(b(c(x)))");
    CHECK(body_of(router, "/x/") == "a(b(c(x)))");
    CHECK(body_of(router, "/none") == "a(c(Not Found\n))");
    CHECK(body_of(router, "/x/none") == "a(b(c(Not Found\n)))");
    CHECK(body_of(router, "/xy") == "a(c(Not Found\n))");
    CHECK(ask(router, "POST", "/x").body == "a(b(c(Method Not Allowed\n)))");
    CHECK(ask(router, "OPTIONS", "*").body == "a(c())");
}

TEST_CASE("a prefix is met however it is written") {
    http::Router<> router;
    router.use("/admin", deny).use("/users/:any/private/", deny).get("/*rest", Says{"open"});
    for (const char* path : {"/admin", "/admin/", "/admin/x", "/%61dmin/x", "/admin%2f/../admin", "/admin//x",
                             "/users/1/private", "/users/%2F/private/x", "http://h/admin?x"}) {
        CAPTURE(path);
        const bool within = std::string_view(path) != "/admin%2f/../admin";
        CHECK(ask(router, "GET", path).status == (within ? 403 : 200));
    }
    for (const char* path : {"/", "/adminx", "/x/admin", "/Admin", "/users/1", "/users//private", "/users/1/2/private"})
        CHECK(ask(router, "GET", path).status == 200);
}

TEST_CASE("middleware sees what was captured, and can answer by itself or twice") {
    http::Router<> router;
    router.use(Around{"m"}).get("/u/:id", Says{"user"});
    router.use("/twice", [](const http::Request&, http::Next next) -> Task<http::Response> {
        http::Response first = co_await next();
        http::Response second = co_await next();
        co_return http::text(first.body() + second.body());
    });
    router.get("/twice", Says{"2"});
    CHECK(body_of(router, "/u/7") == "m#7(user)");
    CHECK(body_of(router, "/twice") == "m(22)");
    CHECK(ask(http::Router<>().use(deny).get("/", Says{"x"}), "GET", "/").status == 403);
}

TEST_CASE("a mounted router brings all it has, below its prefix") {
    http::Router<> inner;
    inner.use(Around{"in"}).use("/deep", Around{"deep"}).get("/", Says{"root"}).get("/deep/:id?", Says{"leaf"});
    inner.not_found(Says{"no such thing"});
    http::Router<> router;
    router.use(Around{"out"}).mount("/api", inner).mount("/t/:tenant/", inner).mount("/", inner);
    inner.get("/late", Says{"late"});

    CHECK(body_of(router, "/api") == "out(in(in(root)))");
    CHECK(body_of(router, "/api/deep/7") == "out#7(in#7(deep#7(in#7(leaf))))");
    CHECK(body_of(router, "/t/one/deep") == "out(in(deep(in(leaf))))");
    CHECK(body_of(router, "/deep") == "out(in(deep(leaf)))");
    CHECK(body_of(router, "/api/late") == "out(in(in(no such thing)))");
    CHECK(ask(router, "PUT", "/api").status == 405);
    CHECK_THROWS_WITH_AS(router.mount("/api", inner), doctest::Contains("/api/"), std::invalid_argument);
    for (const char* prefix : {"api", "/a*", "/*a", "/:a?", "//", "/:"})
        CHECK_THROWS_AS(router.mount(prefix, http::Router<>()), std::invalid_argument);
    CHECK_THROWS_AS(router.use("/*all", deny), std::invalid_argument);

    http::Router<> self;
    self.get("/x", Says{"x"}).mount("/again", self);
    CHECK(body_of(self, "/again/x") == "x");
}

TEST_CASE("unknown paths are answered by the router that is meant") {
    http::Router<> router;
    router.not_found(Says{"none"}).mount("/a", http::Router<>().not_found(Says{"none in a"}));
    router.mount("/:x", http::Router<>().not_found(Says{"none in x"}));
    router.mount("/a/b", http::Router<>().get("/there", Says{"there"}));
    CHECK(body_of(router, "/a/b/c") == "none in a");
    CHECK(body_of(router, "/a/b/there") == "there");
    CHECK(body_of(router, "/b/c") == "none in x");
    CHECK(body_of(router, "/") == "none");
    CHECK(body_of(router.not_found(Says{"changed"}), "/") == "changed");
    CHECK(ask(router, "PUT", "/a/b/there").status == 405);
}

TEST_CASE("what is thrown is answered by the error handler around it") {
    http::Router<> inner;
    inner.use("/closed", fail_before).get("/", fail).get("/closed", Says{"x"}).get("/at-once", fail_at_once);
    http::Router<> router;
    router.mount("/bare", inner).use(Around{"m"});
    CHECK_THROWS_WITH(ask(router, "GET", "/bare"), "failed");

    router.on_error(pass_on).on_error(explain).mount("/own", inner.on_error(explain));
    CHECK(body_of(router, "/bare") == "failed");
    CHECK(body_of(router, "/bare/closed") == "who is it?");
    CHECK(body_of(router, "/bare/at-once") == "failed at once");
    CHECK(body_of(router, "/own/at-once") == "m(failed at once)");
    CHECK(body_of(router, "/own/closed") == "m(who is it?)");
    router.mount("/passes", inner.on_error(pass_on));
    CHECK(body_of(router, "/passes") == "failed");
    router.on_error(pass_on);
    CHECK_THROWS_WITH(ask(router, "GET", "/passes"), "failed");
}

TEST_CASE("what the router refuses is answered by the error handlers, the innermost first, inside of the middleware") {
    http::Router<> inner, passing, bare;
    inner.on_error(explain).get("/item", Says{"x"});
    passing.on_error(pass_on).get("/item", Says{"x"});
    bare.get("/item", Says{"x"});
    http::Router<> router;
    router.use(Around{"m"}).mount("/own", inner).mount("/passes", passing).mount("/bare", bare);

    CHECK(body_of(router, "/own/none") == "m(Not Found)");
    CHECK(body_of(router, "/bare/none") == "m(Not Found\n)"); // the server's own words
    CHECK(body_of(router, "/passes/none") == "m(Not Found\n)");
    for (const char* path : {"/own/item", "/bare/item", "/passes/item"}) {
        CAPTURE(path);
        const test::Answer refused = ask(router, "PUT", path);
        CHECK(refused.status == (path == std::string_view("/own/item") ? 200 : 405)); // explain() answers 200
        CHECK(refused.field("allow") == (refused.status == 405 ? "GET, HEAD, OPTIONS" : ""));
    }
    router.on_error(explain);
    CHECK(body_of(router, "/passes/none") == "m(Not Found)");
    CHECK(body_of(router, "/none") == "m(Not Found)");
    router.on_error(pass_on);
    CHECK(ask(router, "PUT", "/passes/item").field("allow") == "GET, HEAD, OPTIONS");
    router.on_error(fail_to_explain).not_found(Says{"sorry"});
    CHECK(body_of(router, "/none") == "m(sorry)");
    CHECK(ask(router, "OPTIONS", "/bare/item").status == 204);
    CHECK_THROWS_WITH(ask(router, "PUT", "/bare/item"), "cannot explain");
}

TEST_CASE("a cancelled handler is not an error to be answered") {
    http::Router<> router;
    router.on_error(explain).get("/", [](const http::Request&) -> Task<http::Response> {
        asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::use_awaitable);
        co_return http::Response();
    });
    asio::io_context io;
    asio::cancellation_signal cancel;
    const test::ParsedRequest parsed("GET", "/");
    bool cancelled = false;
    const auto done = [&](const std::exception_ptr& failure, const http::Response&) {
        REQUIRE(failure);
        try {
            std::rethrow_exception(failure);
        } catch (const std::system_error& error) {
            cancelled = error.code() == asio::error::operation_aborted;
        }
    };
    asio::co_spawn(io, router(*parsed), asio::bind_cancellation_slot(cancel.slot(), done));
    asio::post(io, [&cancel] { cancel.emit(asio::cancellation_type::terminal); });
    io.run();
    CHECK(cancelled);
}

TEST_CASE("middleware with a context, without one, and of any callable kind") {
    http::Router<Counted> router;
    int made = 0;
    router.use([&made](Counted& app, const http::Request&, http::Next next) {
        ++app.counted;
        ++made;
        return next();
    });
    router.use(Around{"m"}).mount("/plain", http::Router<>().use(Around{"p"}).get("/", Says{"x"}).on_error(explain));
    router.get("/", [](Counted& app, const http::Request&) -> Task<http::Response> {
        co_return http::text(std::to_string(app.counted));
    });
    router.not_found([](Counted& app, const http::Request&) -> Task<http::Response> {
        co_return http::text("none " + std::to_string(app.counted));
    });
    router.get("/fail", fail)
        .on_error([](Counted& app, const http::Request&, std::exception_ptr) -> Task<http::Response> {
            co_return http::text("failed " + std::to_string(app.counted));
        });
    Counted app;
    const auto call = [&](std::string_view path) {
        const test::ParsedRequest parsed("GET", path);
        return answer_of([&] { return router(app, *parsed); }).body;
    };
    CHECK(call("/") == "m(1)");
    CHECK(call("/plain") == "m(p(x))");
    CHECK(call("/none") == "m(none 3)");
    CHECK(call("/fail") == "failed 4");
    CHECK(made == 4);
    static_assert(http::Middleware<Around> && !http::Middleware<Says> && http::MiddlewareFor<Around, Counted>);
    static_assert(http::ErrorHandler<decltype(&explain)> && http::ErrorHandlerFor<decltype(&explain), Counted>);
}

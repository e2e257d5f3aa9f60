// SPDX-License-Identifier: MIT
// Which route answers which path, and what is said when none does.
#include <cohort/http/router.hpp>

#include "support/allocations.hpp"
#include "support/handling.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

using namespace cohort;
using test::ask;
using test::ParsedRequest;

namespace {

/// Answers with its name and what was captured.
struct Named {
    std::string name;

    Task<http::Response> operator()(const http::Request& request) const { return answer(name, request); }

    static Task<http::Response> answer(std::string text, const http::Request& request) {
        for (const char* key : {"a", "b", "rest"})
            if (const auto value = request.param(key)) text += std::string(" ") + key + "=" + *value;
        co_return http::text(text);
    }
};

struct RoutedApp {
    int calls = 0;
};

Task<http::Response> count(RoutedApp& app, const http::Request&) { co_return http::text(std::to_string(++app.calls)); }
Task<http::Response> plain(const http::Request&) { co_return http::text("plain"); }

} // namespace

// A sanitizer has an allocator of its own.
#ifndef COHORT_SANITIZED
void* operator new(std::size_t size) {
    test::Allocations& all = test::allocations;
    if (all.counted && ++all.count == all.fails) throw std::bad_alloc();
    if (void* const memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

TEST_CASE("paths find their routes") {
    http::Router<> router;
    // Registered with the weakest first: the order makes no difference.
    router.get("/*rest", Named{"all"});
    router.get("/users/:a", Named{"user"});
    router.get("/users/me", Named{"me"});
    router.get("/users/:a/posts/:b", Named{"post"});
    router.get("/users/me/settings", Named{"settings"});
    router.get("/hello/:a?", Named{"hello"});
    router.get("/files/*rest", Named{"files"});
    router.get("/caf\xc3\xa9", Named{"cafe"});
    router.get("/", Named{"root"});

    struct Row {
        const char* path;
        const char* answer;
    };
    for (const Row& row : {
             Row{"/", "root"},
             Row{"/users/me", "me"},
             Row{"/users/me/", "me"},
             Row{"/users/7", "user a=7"},
             Row{"/users/7?x=1", "user a=7"},
             Row{"/users/a%20b%2Fc", "user a=a b/c"},
             Row{"/users/7/posts/8", "post a=7 b=8"},
             Row{"/users/me/posts/8", "post a=me b=8"},
             Row{"/users/me/settings", "settings"},
             Row{"/users/7/settings", "all rest=users/7/settings"},
             Row{"/users", "all rest=users"},
             Row{"/hello", "hello"},
             Row{"/hello/", "hello"},
             Row{"/hello/you", "hello a=you"},
             Row{"/hello/you/too", "all rest=hello/you/too"},
             Row{"/hello//", "all rest=hello/"},
             Row{"/files/a/b.txt", "files rest=a/b.txt"},
             Row{"/files", "files rest="},
             Row{"/caf%C3%A9", "cafe"},
             Row{"/caf%c3%a9", "cafe"},
             Row{"http://h/users/me", "me"},
             Row{"http://h", "root"},
         }) {
        CAPTURE(row.path);
        CHECK(ask(router, "GET", row.path).body == row.answer);
    }
}

TEST_CASE("methods") {
    http::Router<> router;
    router.get("/thing", Named{"got"});
    router.put("/thing", Named{"put"});
    router.del("/thing", Named{"deleted"});
    router.post("/post", Named{"posted"});
    router.patch("/post", Named{"patched"});
    router.any("/any", Named{"any"});
    router.get("/any", Named{"any got"});
    router.head("/head", Named{"head"});
    router.get("/head", Named{"get"});
    router.route(http::Method::propfind, "/dav", Named{"found"});
    router.get("/mixed/me", Named{"me"});
    router.post("/mixed/:a", Named{"mixed"});

    CHECK(ask(router, "GET", "/thing").body == "got");
    CHECK(ask(router, "HEAD", "/thing").body == "got");
    CHECK(ask(router, "HEAD", "/head").body == "head");
    CHECK(ask(router, "PUT", "/thing").body == "put");
    CHECK(ask(router, "DELETE", "/thing").body == "deleted");
    CHECK(ask(router, "PATCH", "/post").body == "patched");
    CHECK(ask(router, "LOCK", "/any").body == "any");
    CHECK(ask(router, "GET", "/any").body == "any got");
    CHECK(ask(router, "PROPFIND", "/dav").body == "found");
    CHECK(ask(router, "POST", "/mixed/me").body == "mixed a=me");

    const test::Answer refused = ask(router, "POST", "/thing");
    CHECK(refused.status == 405);
    CHECK(refused.field("allow") == "GET, HEAD, PUT, DELETE, OPTIONS");
    CHECK(ask(router, "PUT", "/mixed/me").field("allow") == "GET, HEAD, POST, OPTIONS");
    CHECK(ask(router, "PUT", "/mixed/you").field("allow") == "POST, OPTIONS");
    CHECK(ask(router, "GET", "/nothing").status == 404);
    CHECK(ask(router, "GET", "/thing/more").status == 404);
    CHECK(ask(router, "GET", "/").status == 404);
}

TEST_CASE("OPTIONS is answered with the methods of the path, or of the router") {
    http::Router<> router;
    router.get("/thing", plain).put("/thing", plain).post("/other/:a?", plain);
    router.route(http::Method::options, "/own", Named{"own"});
    router.mount("/below", http::Router<>().del("/x", plain));

    const test::Answer answer = ask(router, "OPTIONS", "/thing");
    CHECK(answer.status == 204);
    CHECK(answer.body.empty());
    CHECK(answer.field("allow") == "GET, HEAD, PUT, OPTIONS");
    CHECK(ask(router, "OPTIONS", "/other").field("allow") == "POST, OPTIONS");
    CHECK(ask(router, "OPTIONS", "/own").body == "own");
    CHECK(ask(router, "OPTIONS", "/none").status == 404);
    CHECK(ask(router, "OPTIONS", "*").status == 204);
    CHECK(ask(router, "OPTIONS", "*").field("allow") == "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    CHECK(ask(http::Router<>(), "OPTIONS", "*").field("allow") == "OPTIONS");
    CHECK(ask(router.any("/any", Named{"any"}), "OPTIONS", "/any").body == "any");
    const std::string all = ask(router, "OPTIONS", "*").field("allow");
    CHECK(all.find("TRACE") != std::string::npos);
    CHECK(all.find("CONNECT") == std::string::npos);
}

TEST_CASE("matching allocates nothing") {
    http::detail::RouteTable table;
    constexpr auto method = static_cast<std::size_t>(http::Method::get);
    std::size_t number = 0;
    for (const char* pattern : {"/a/very/long/path/without/any/parameters/in/it", "/users/:user/posts/:post",
                                "/users/:user/posts/:post/comments/:comment?", "/files/*rest", "/caf\xc3\xa9"})
        table.add(method, pattern, number++);
    const http::detail::PathPrefix prefix("/users/:user/a-name-that-does-not-fit-into-a-small-string");
    const auto find = [&](const char* path) {
        const ParsedRequest parsed("GET", path);
        table.find(*parsed); // room for what is captured
        test::allocations = {};
        test::allocations.counted = true;
        const std::size_t found = table.find(*parsed).route;
        const bool covered = prefix.covers(parsed->path());
        test::allocations.counted = false;
        CHECK(test::allocations.count == 0);
        CHECK_FALSE(covered);
        return found;
    };
    CHECK(find("/a/very/long/path/without/any/parameters/in/it") == 0);
    CHECK(find("/users/someone-with-a-long-name/posts/1234567890123456789012345") == 1);
    CHECK(find("/users/u/posts/p/comments/one-comment-with-a-long-name-too") == 2);
    CHECK(find("/files/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z") == 3);
    CHECK(find("/caf%c3%a9") == 4);
    CHECK(find("/users/a/a%2Dname-that-does-not-fit-into-a-small-string-but-nearly") == http::detail::RouteTable::none);
}

TEST_CASE("what a failed branch captured is forgotten") {
    http::Router<> router;
    router.get("/:a/x", Named{"x"});
    router.get("/*rest", Named{"rest"});
    CHECK(ask(router, "GET", "/1/y").body == "rest rest=1/y");
}

TEST_CASE("bad patterns are refused with a reason") {
    struct Row {
        const char* pattern;
        const char* reason;
    };
    for (const Row& row : {
             Row{"", "must begin with /"},
             Row{"users", "must begin with /"},
             Row{"/a//b", "empty segment"},
             Row{"/:", "needs a name"},
             Row{"/*", "needs a name"},
             Row{"/:a-b", "letters, digits and _"},
             Row{"/:a/:a", "same parameter twice"},
             Row{"/*rest/x", "must come last"},
             Row{"/:a?/x", "must come last"},
             Row{"/a*b", "plain text"},
             Row{"/a?", "plain text"},
             Row{"/taken", "already"},
             Row{"/opt", "already"},
         }) {
        CAPTURE(row.pattern);
        http::Router<> router;
        router.get("/taken", plain).get("/opt/:a?", plain);
        std::string reason;
        try {
            router.get(row.pattern, plain);
        } catch (const std::invalid_argument& error) {
            reason = error.what();
        }
        CHECK(reason.find(row.reason) != std::string::npos);
        CHECK(reason.find('"' + std::string{row.pattern} + '"') != std::string::npos);
    }
}

TEST_CASE("handlers with a context, without one, and of any callable kind") {
    http::Router<RoutedApp> router;
    router.get("/count", count);
    router.get("/plain", plain);
    router.get("/lambda", [](RoutedApp& app, const http::Request&) -> Task<http::Response> {
        co_return http::text(std::to_string(app.calls));
    });
    RoutedApp app;
    const auto call = [&](std::string_view path) {
        const ParsedRequest parsed("GET", path);
        return test::answer_of([&] { return router(app, *parsed); }).body;
    };
    CHECK(call("/count") == "1");
    CHECK(call("/count") == "2");
    CHECK(call("/plain") == "plain");
    CHECK(call("/lambda") == "2");
    static_assert(http::HandlerFor<http::Router<RoutedApp>, RoutedApp>);
    static_assert(http::Handler<http::Router<>>);
    static_assert(!http::Handler<http::Router<RoutedApp>>);
}

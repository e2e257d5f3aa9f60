// SPDX-License-Identifier: MIT
// Which route answers which path, and what is said when none does.
#include <cohort/http/router.hpp>

#include <cohort/http/parser.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

using namespace cohort;

namespace {

struct Answer {
    int status = 0;
    std::string body;
    std::string allow;
};

template <class Call>
Task<> note(Call call, Answer& answer) {
    Task<http::Response> task = call();
    const http::Response response = co_await std::move(task);
    answer = {response.status(), response.body(), std::string{response.fields().get("allow").value_or("")}};
}

template <class Call>
Answer run(Call call) {
    asio::io_context io;
    Answer answer;
    asio::co_spawn(io, note(std::move(call), answer), [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
    });
    io.run();
    return answer;
}

/// The request reaches the router as a server would give it.
class Parsed {
public:
    Parsed(std::string_view method, std::string_view path) {
        const std::string head = std::string{method} + " " + std::string{path} + " HTTP/1.1\r\nHost: h\r\n\r\n";
        REQUIRE(parser_.parse(head).event == http::ParseEvent::head);
    }
    const http::Request& request() const { return parser_.request(); }

private:
    http::Limits limits_;
    http::RequestParser parser_{limits_};
};

Answer ask(const http::Router<>& router, std::string_view method, std::string_view path) {
    const Parsed parsed(method, path);
    return run([&] { return router(parsed.request()); });
}

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

struct App {
    int calls = 0;
};

Task<http::Response> count(App& app, const http::Request&) { co_return http::text(std::to_string(++app.calls)); }
Task<http::Response> plain(const http::Request&) { co_return http::text("plain"); }

} // namespace

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

    const Answer refused = ask(router, "POST", "/thing");
    CHECK(refused.status == 405);
    CHECK(refused.allow == "GET, HEAD, PUT, DELETE");
    CHECK(ask(router, "PUT", "/mixed/me").allow == "GET, HEAD, POST");
    CHECK(ask(router, "PUT", "/mixed/you").allow == "POST");
    CHECK(ask(router, "GET", "/nothing").status == 404);
    CHECK(ask(router, "GET", "/thing/more").status == 404);
    CHECK(ask(router, "GET", "/").status == 404);
    CHECK(ask(router, "OPTIONS", "*").status == 404);
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
    http::Router<App> router;
    router.get("/count", count);
    router.get("/plain", plain);
    router.get("/lambda", [](App& app, const http::Request&) -> Task<http::Response> {
        co_return http::text(std::to_string(app.calls));
    });
    App app;
    const auto call = [&](std::string_view path) {
        const Parsed parsed("GET", path);
        return run([&] { return router(app, parsed.request()); }).body;
    };
    CHECK(call("/count") == "1");
    CHECK(call("/count") == "2");
    CHECK(call("/plain") == "plain");
    CHECK(call("/lambda") == "2");
    static_assert(http::HandlerFor<http::Router<App>, App>);
    static_assert(http::Handler<http::Router<>>);
    static_assert(!http::Handler<http::Router<App>>);
}

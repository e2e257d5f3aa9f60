// SPDX-License-Identifier: MIT
// Files as answers: what is sent of them, and that none outside of their folder is.
#include <cohort/http/file.hpp>

#include "support/folder.hpp"
#include "support/handling.hpp"
#include "support/http_server.hpp"

#include <cohort/http/detail/respond/media_types.hpp>
#include <cohort/http/router.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

using namespace cohort;
using test::Answer;
using test::ask;

namespace {

namespace fs = std::filesystem;

constexpr std::time_t modified = 784111777;
constexpr const char* modified_text = "Sun, 06 Nov 1994 08:49:37 GMT";

/// public/ with a few files, and secrets beside it.
struct Site {
    test::Folder folder;
    std::string root = folder / "public";

    Site() {
        fs::create_directories(root + "/sub/.hidden/x");
        write("public/index.html", "<root>");
        write("public/digits.txt", "0123456789");
        write("public/empty.css", "");
        write("public/sub/index.html", "<sub>");
        write("public/sub/sp ace+%.JS", "code");
        write("public/.env", "password");
        write("public/sub/.hidden/x/a.txt", "hidden");
        write("secret.txt", "secret");
        fs::create_directory(root + "/bare");
        fs::create_symlink("../secret.txt", root + "/out.txt");
        fs::create_symlink(folder / "secret.txt", root + "/out-absolute.txt");
        fs::create_symlink("..", root + "/up");
        fs::create_symlink("digits.txt", root + "/in.txt");
        fs::create_symlink(root + "/digits.txt", root + "/in-absolute.txt");
        fs::create_symlink(root + "/sub/", root + "/sub-absolute");
        fs::create_symlink(root, root + "/itself");
        fs::create_symlink("public", folder / "alias");
        fs::create_symlink(folder / "alias/sub/../digits.txt", root + "/in-by-alias.txt");
        fs::create_symlink(root + "/out.txt", root + "/out-by-detour.txt");
        fs::create_symlink(root + "/../secret.txt", root + "/out-by-parent.txt");
        fs::create_symlink(root + "-not/digits.txt", root + "/out-by-name.txt");
        fs::create_symlink("sub", root + "/sub-link");
        fs::create_symlink("sub/../digits.txt", root + "/in-by-detour.txt");
        fs::create_symlink("loop", root + "/loop");
        fs::create_symlink("/proc/self/exe", root + "/magic");
        fs::create_symlink("/dev/null", root + "/device");
        REQUIRE(::mkfifo((root + "/fifo").c_str(), 0600) == 0);
    }

    void write(const std::string& name, std::string_view content) const {
        std::ofstream(folder / name) << content;
        const timespec times[2] = {{modified, 0}, {modified, 123456789}};
        REQUIRE(::utimensat(AT_FDCWD, (folder / name).c_str(), times, 0) == 0);
    }
};

/// The answer of a router to what a client sends; http::Error as the server would answer it.
template <class H>
Answer send(const H& handler, std::string_view method, std::string_view target, std::string_view fields = "") {
    try {
        return ask(handler, method, target, fields);
    } catch (const http::Error& error) {
        return {error.status(), {}, error.fields()};
    }
}

http::Router<> router_for(const Site& site, http::FileOptions options = {}) {
    http::Router<> router;
    router.get("/static/*path", http::Files(site.root, std::move(options)));
    return router;
}

class FaultyFiles final : public detail::System {
public:
    int failure = 0;      ///< what opening fails with
    int failures = 1'000; ///< so many times
    bool fails_to_read = false;
    std::size_t most = SIZE_MAX; ///< bytes of one read
    int reads = 0;

    int open_beneath(int folder, const char* path) noexcept override {
        if (failure == 0 || failures-- <= 0) return System::open_beneath(folder, path);
        errno = failure;
        return -1;
    }
    ssize_t pread(int fd, void* bytes, std::size_t size, off_t offset) noexcept override {
        errno = ++reads == 1 ? EINTR : EIO;
        if (reads == 1 || fails_to_read) return -1;
        return System::pread(fd, bytes, std::min(size, most), offset);
    }

private:
    Replace installed_{*this};
};

} // namespace

TEST_CASE("a file with all that is said of it") {
    const Site site;
    const auto router = router_for(site, {.cache_control = "max-age=60"});
    const Answer answer = send(router, "GET", "/static/digits.txt");
    CHECK(answer.status == 200);
    CHECK(answer.body == "0123456789");
    CHECK(answer.field("last-modified") == modified_text);
    CHECK(answer.field("accept-ranges") == "bytes");
    CHECK(answer.field("cache-control") == "max-age=60");
    CHECK(answer.field("x-content-type-options") == "nosniff");
    const std::string etag = answer.field("etag");
    CHECK(etag == "\"a-ae1b981c3a4d715\"");
    // The copy on another host, or of another deployment, is the same file.
    fs::copy_file(site.root + "/digits.txt", site.root + "/copy");
    const timespec times[2] = {{modified, 0}, {modified, 123456789}};
    REQUIRE(::utimensat(AT_FDCWD, (site.root + "/copy").c_str(), times, 0) == 0);
    fs::rename(site.root + "/copy", site.root + "/digits.txt");
    CHECK(send(router, "GET", "/static/digits.txt").field("etag") == etag);

    const Answer unchanged = send(router, "GET", "/static/digits.txt", "If-None-Match: " + etag + "\r\n");
    CHECK(unchanged.status == 304);
    CHECK(unchanged.body.empty());
    CHECK(unchanged.field("etag") == etag);
    CHECK(unchanged.field("cache-control") == "max-age=60");
    site.write("public/digits.txt", "012345678X");
    fs::resize_file(site.root + "/digits.txt", 11);
    CHECK(send(router, "GET", "/static/digits.txt", "If-None-Match: " + etag + "\r\n").status == 200);
    CHECK(send(router, "GET", "/static/digits.txt", "If-Match: " + etag + "\r\n").status == 412);
    CHECK(send(router, "GET", "/static/digits.txt", "If-Match: " + etag + "\r\n").field("cache-control").empty());

    const Answer empty = send(router, "GET", "/static/empty.css");
    CHECK(empty.status == 200);
    CHECK(empty.body.empty());
    CHECK(send(router, "POST", "/static/empty.css").field("allow") == "GET, HEAD, OPTIONS");
    CHECK(send(http::Files(site.root), "POST", "/empty.css").status == 405);
    CHECK(send(http::Files(site.root), "POST", "/empty.css").field("allow") == "GET, HEAD");
}

TEST_CASE("parts of a file") {
    const Site site;
    const auto router = router_for(site);
    const std::string etag = send(router, "HEAD", "/static/digits.txt").field("etag");
    const auto part = [&](const std::string& fields, const char* method = "GET") {
        return send(router, method, "/static/digits.txt", fields);
    };
    const Answer middle = part("Range: bytes=2-4\r\n");
    CHECK(middle.status == 206);
    CHECK(middle.body == "234");
    CHECK(middle.field("content-range") == "bytes 2-4/10");
    CHECK(part("Range: bytes=-3\r\n").body == "789");
    CHECK(part("Range: bytes=7-\r\n").field("content-range") == "bytes 7-9/10");
    const Answer beyond = part("Range: bytes=10-\r\n");
    CHECK(beyond.status == 416);
    CHECK(beyond.field("content-range") == "bytes */10");
    CHECK(part("Range: bytes=0-1,3-4\r\n").body == "0123456789");
    CHECK(part("Range: bytes=2-4\r\n", "HEAD").status == 200);
    CHECK(part("Range: bytes=2-4\r\nIf-Range: " + etag + "\r\n").status == 206);
    CHECK(part("Range: bytes=2-4\r\nIf-Range: W/" + etag + "\r\n").status == 200);
    CHECK(part("Range: bytes=2-4\r\nIf-Range: \"other\"\r\n").body == "0123456789");
    CHECK(part("Range: bytes=20-\r\nIf-Range: \"other\"\r\n").status == 200);
    CHECK(part(std::string("Range: bytes=2-4\r\nIf-Range: ") + modified_text + "\r\n").status == 206);
    CHECK(part("Range: bytes=20-\r\nIf-None-Match: " + etag + "\r\n").status == 304);
    CHECK(send(router, "GET", "/static/empty.css", "Range: bytes=0-\r\n").status == 416);
    CHECK(send(router, "GET", "/static/empty.css", "Range: bytes=-5\r\n").status == 200);
}

TEST_CASE("nothing outside of the folder, nothing hidden, and nothing but files, whether there is openat2 or not") {
    const Site site;
    const auto router = router_for(site);
    FaultyFiles system;
    SUBCASE("openat2") {}
    SUBCASE("ENOSYS") { system.failure = ENOSYS; }
    SUBCASE("EPERM") { system.failure = EPERM; }
    system.failures = INT_MAX;
    for (const char* path : {
             "/static/none.txt",
             "/static/../secret.txt",
             "/static/%2e%2e/secret.txt",
             "/static/%2E./secret.txt",
             "/static/.%2e/secret.txt",
             "/static/sub/../../secret.txt",
             "/static/sub/%2e%2e/digits.txt",
             "/static/..%2fsecret.txt",
             "/static/%2e%2e%2fsecret.txt",
             "/static/sub%2findex.html",
             "/static/..%5csecret.txt",
             "/static/%252e%252e/secret.txt",
             "/static/./digits.txt",
             "/static/%2e/digits.txt",
             "/static//digits.txt",
             "/static/sub//index.html",
             "/static//",
             "/static/sub//",
             "/static/%2f",
             "/static/%2fetc/passwd",
             "/static//etc/passwd",
             "/static/digits.txt%00",
             "/static/digits.txt%00.html",
             "/static/%00",
             "/static/digits.txt/",
             "/static/digits.txt/x",
             "/static/out.txt",
             "/static/out-absolute.txt",
             "/static/out-by-detour.txt",
             "/static/out-by-parent.txt",
             "/static/out-by-name.txt",
             "/static/itself/out.txt",
             "/static/itself/up/public/digits.txt",
             "/static/in-absolute.txt/",
             "/static/up/secret.txt",
             "/static/up/public/digits.txt",
             "/static/loop",
             "/static/magic",
             "/static/device",
             "/static/fifo",
             "/static/.env",
             "/static/%2eenv",
             "/static/sub/.hidden/x/a.txt",
             "/static/bare/",
             "/static/%c0%ae%c0%ae/secret.txt",
         }) {
        CAPTURE(path);
        const Answer answer = send(router, "GET", path);
        CHECK(answer.status == 404);
        CHECK(answer.body.find("secret") == std::string::npos);
    }
    CHECK(send(router, "GET", "/static/" + std::string(300, 'x')).status == 404);
    CHECK(send(router, "GET", "/static/in.txt").body == "0123456789");
    CHECK(send(router, "GET", "/static/in-by-detour.txt").body == "0123456789");
    // An absolute link may name what is in the folder, by whichever name of the folder.
    CHECK(send(router, "GET", "/static/in-absolute.txt").body == "0123456789");
    CHECK(send(router, "GET", "/static/in-by-alias.txt").body == "0123456789");
    CHECK(send(router, "GET", "/static/itself/itself/in.txt").body == "0123456789");
    CHECK(send(router, "GET", "/static/itself/sub/").body == "<sub>");
    CHECK(send(router, "GET", "/static/sub-absolute/").body == "<sub>");
    CHECK(send(router, "GET", "/static/sub-absolute").field("location") == "/static/sub-absolute/");
    CHECK(send(router, "GET", "/static/").body == "<root>");
    CHECK(send(router, "GET", "/static/sub-link/").body == "<sub>");
    CHECK(send(router, "GET", "/static/sub/sp%20ace+%25.JS").body == "code");
    const auto open_router = router_for(site, {.dot_files = true});
    CHECK(send(open_router, "GET", "/static/.env").body == "password");
    CHECK(send(open_router, "GET", "/static/%2e%2e/secret.txt").status == 404);
    CHECK(send(open_router, "GET", "/static/sub/./index.html").status == 404);
}

TEST_CASE("no path made of such pieces leads out of the folder") {
    const Site site;
    FaultyFiles system;
    SUBCASE("openat2") {}
    SUBCASE("ENOSYS") { system.failure = ENOSYS; }
    system.failures = INT_MAX;
    const http::Files files(site.root, {.dot_files = true});
    constexpr std::string_view pieces[] = {"..",  "%2e%2e", ".%2E",    ".",     "sub", "up",      "public",    "%2f",
                                           "%5c", "%00",    "out.txt", "..%2f", "%2e", "..%5c..", "secret.txt"};
    const auto try_path = [&files](const std::string& path) {
        CAPTURE(path);
        CHECK(send(files, "GET", path).status == 404);
    };
    for (const std::string_view first : pieces)
        for (const std::string_view second : pieces)
            for (const std::string_view third : pieces)
                try_path("/" + std::string(first).append("/").append(second).append("/").append(third));
    for (const std::string_view first : pieces)
        for (const std::string_view second : pieces)
            try_path("/sub/" + std::string(first).append(second) + "/secret.txt");
    CHECK(send(files, "GET", "/sub/index.html").status == 200);
}

TEST_CASE("folders are answered with their index, behind a slash") {
    const Site site;
    const auto router = router_for(site);
    CHECK(send(router, "GET", "/static/").body == "<root>");
    CHECK(send(router, "GET", "/static/sub/").body == "<sub>");
    CHECK(send(router, "GET", "/static").status == 301);
    CHECK(send(router, "GET", "/static").field("location") == "/static/");
    CHECK(send(router, "GET", "/static/s%75b?a=b").field("location") == "/static/s%75b/?a=b");
    CHECK(send(router_for(site, {.index = "digits.txt"}), "GET", "/static/").body == "0123456789");
    CHECK(send(router_for(site, {.index = "none"}), "GET", "/static/").status == 404);
}

TEST_CASE("which file is meant, with a pattern, in a mounted router, and without any") {
    const Site site;
    const http::Files files(site.root);
    http::Router<> router;
    router.get("/one/:name", files).get("/digits.txt", files).not_found(files);
    router.mount("/:tenant/a", http::Router<>().get("/*path", files));
    CHECK(send(router, "GET", "/one/digits.txt").body == "0123456789");
    CHECK(send(router, "GET", "/digits.txt").body == "0123456789");
    CHECK(send(router, "GET", "/sub/index.html").body == "<sub>");
    CHECK(send(router, "GET", "/t/a/sub/index.html").body == "<sub>");
    CHECK(send(files, "GET", "/sub/index.html").body == "<sub>");
    CHECK(send(files, "GET", "/").body == "<root>");
    CHECK(send(files, "GET", "http://h").body == "<root>");
    CHECK(send(files, "GET", "//evil.example").status == 404);
    CHECK_THROWS_AS(http::Files(site.folder / "none"), std::system_error);
    CHECK_THROWS_AS(http::Files(site.folder / "secret.txt"), std::system_error);
}

TEST_CASE("one file that the program chooses") {
    const Site site;
    const std::string secret = site.folder / "secret.txt";
    const auto choose = [&](const http::Request& request) {
        const std::string name = request.path() == "/" ? secret : site.root + std::string{request.path()};
        return test::respond(http::file(request, name, {.cache_control = "no-cache"}));
    };
    CHECK(send(choose, "GET", "/").body == "secret");
    CHECK(send(choose, "GET", "/").field("cache-control") == "no-cache");
    CHECK(send(choose, "GET", "/out.txt").body == "secret");
    CHECK(send(choose, "GET", "/", "Range: bytes=0-1\r\n").body == "se");
    for (const char* other : {"/none", "/sub", "/device", "/fifo", "/loop"})
        CHECK(send(choose, "GET", other).status == 404);
}

TEST_CASE("types by the end of the name") {
    using http::detail::media_type_of;
    struct Row {
        const char* name;
        const char* type;
    };
    for (const Row& row : {
             Row{"a.html", "text/html; charset=utf-8"},
             Row{"a.b.CSS", "text/css; charset=utf-8"},
             Row{"x/y.mjs", "text/javascript; charset=utf-8"},
             Row{"a.json", "application/json"},
             Row{"a.svg", "image/svg+xml"},
             Row{"a.woff2", "font/woff2"},
             Row{"a.wasm", "application/wasm"},
             Row{"a.tar.gz", "application/gzip"},
             Row{"a.unknown", "application/octet-stream"},
             Row{"html", "application/octet-stream"},
             Row{".html", "application/octet-stream"},
             Row{"a.html/b", "application/octet-stream"},
             Row{"a.", "application/octet-stream"},
             Row{"", "application/octet-stream"},
         }) {
        CAPTURE(row.name);
        CHECK(media_type_of(row.name) == row.type);
    }
}

TEST_CASE("a kernel that has no room, or fails") {
    const Site site;
    const http::Files files(site.root);
    FaultyFiles system;
    struct Row {
        int failure;
        int status;
    };
    for (const Row& row : {Row{EMFILE, 503}, Row{ENFILE, 503}, Row{ENOMEM, 503}, Row{EAGAIN, 503}, Row{EACCES, 403},
                           Row{ENXIO, 404}, Row{ELOOP, 404}}) {
        system.failure = row.failure;
        CHECK(send(files, "GET", "/digits.txt").status == row.status);
    }
    system.failure = EIO;
    CHECK_THROWS_AS(send(files, "GET", "/digits.txt"), std::system_error);
    system.failure = EAGAIN;
    system.failures = 3;
    CHECK(send(files, "GET", "/digits.txt").body == "0123456789");
    system.most = 3;
    system.reads = 0;
    CHECK(send(files, "GET", "/digits.txt").body == "0123456789");
    CHECK(system.reads == 5);
    CHECK(send(files, "HEAD", "/digits.txt").status == 200);
    CHECK(system.reads == 5);
    system.fails_to_read = true;
    CHECK_THROWS_WITH(send(files, "GET", "/digits.txt"), doctest::Contains("cannot read a file"));
}

namespace {

struct Served {
    explicit Served(asio::io_context&) {}
    Site site;
    void release() {}
};

Task<> serve_files(Served& served, test::TcpAcceptor& acceptor, http::ServerOptions options) {
    const http::Files files(served.site.root);
    co_await http::serve(served, acceptor, files, std::move(options));
}

} // namespace

TEST_CASE("files over a connection, and one that shrinks while it is sent") {
    test::HttpServer<Served> server(serve_files);
    const std::string large = server.app.site.root + "/large.bin";
    constexpr std::size_t size = std::size_t{64} * 1024 * 1024;
    std::ofstream(large) << "begin";
    fs::resize_file(large, size);

    test::RawClient client(server.port);
    const std::string head = client.send("HEAD /large.bin HTTP/1.1\r\nHost: h\r\n\r\n").response(false);
    CHECK(test::has(head, "\r\nContent-Length: " + std::to_string(size) + "\r\n"));
    CHECK(test::has(head, "\r\nContent-Type: application/octet-stream\r\n"));
    const std::string empty = client.send(test::get("/empty.css")).response();
    CHECK(test::has(empty, "\r\nContent-Length: 0\r\n"));
    CHECK(test::has(empty, "\r\nContent-Type: text/css; charset=utf-8\r\n"));
    CHECK(test::status_of(client.send(test::get("/.env")).response()) == "HTTP/1.1 404 Not Found");
    const std::string part = client.send(test::get("/large.bin", "Range: bytes=1-100000\r\n")).response();
    CHECK(test::status_of(part) == "HTTP/1.1 206 Partial Content");
    CHECK(test::body_of(part).size() == 100'000);
    CHECK(test::body_of(part).starts_with("egin"));
    const std::string unchanged = client.send(test::get("/large.bin", "If-None-Match: *\r\n")).response();
    CHECK(test::status_of(unchanged) == "HTTP/1.1 304 Not Modified");
    CHECK_FALSE(test::has(unchanged, "Content-Length"));

    CHECK(test::status_of(client.send(test::get("/large.bin")).response(false)) == "HTTP/1.1 200 OK");
    fs::resize_file(large, 1000);
    const std::string rest = client.rest();
    CHECK(rest.size() < size);
    CHECK_FALSE(rest.ends_with("(timeout)"));
    CHECK(test::has(server.log(), "shrank"));
}

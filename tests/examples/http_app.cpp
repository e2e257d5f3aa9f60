// SPDX-License-Identifier: MIT
// The example of an application made of parts, as curl sees it.
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/http_client.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <cstdint>
#include <fstream>
#include <string>

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("http_app: a form, a cookie, an API, files and events, with curl") {
    const test::Folder folder;
    std::ofstream(folder / "index.html") << "<!doctype html>\n";
    test::Example program("http_app", {folder.path.string(), "127.0.0.1:0"}, test::Output::out);
    const auto port = static_cast<std::uint16_t>(program.number_after("http_app: listening on port "));
    const std::string url = " http://127.0.0.1:" + std::to_string(port);
    const std::string curl = "curl -sS --max-time 20 -b " + (folder / "jar") + " -c " + (folder / "jar") + " ";
    const std::string with_status = curl + "-w '%{http_code}' ";

    CHECK(test::run_shell(with_status + url + "/api/me") == "{\"error\":401}\n401");
    CHECK(test::run_shell(with_status + "-d name= " + url + "/name") == "Unprocessable Content\n422");
    CHECK(test::run_shell(with_status + "-H 'Content-Type: text/plain' -d name=Ann " + url + "/name") ==
          "Unsupported Media Type\n415");
    CHECK(test::run_shell(with_status + "-L -d name=Ann " + url + "/name") == "{\"hello\":\"Ann\"}\n200");
    CHECK(test::run_shell(with_status + url + "/api/me") == "{\"hello\":\"Ann\"}\n200");

    const std::string page = test::run_shell(curl + "-i " + url + "/");
    CHECK(page.ends_with("\r\n\r\n<!doctype html>\n"));
    CHECK(has(page, "\r\nServer-Timing: app;dur="));
    CHECK(has(page, "\r\nCache-Control: max-age=60\r\n"));
    const std::string etag = " --etag-save " + (folder / "etag") + " --etag-compare " + (folder / "etag");
    CHECK(test::run_shell(with_status + etag + url + "/index.html") == "<!doctype html>\n200");
    CHECK(test::run_shell(with_status + etag + url + "/index.html") == "304");
    CHECK(test::run_shell(with_status + "-r 2-8" + url + "/index.html") == "doctype206");
    CHECK(test::run_shell(with_status + "--path-as-is" + url + "/../../etc/passwd") == "Not Found\n404");
    CHECK(test::run_shell(with_status + "-X OPTIONS -D - -o /dev/null" + url + "/name").ends_with("\r\n204"));

    CHECK(test::run_shell(with_status + url + "/readyz") == "ready\n200");
    CHECK(has(test::run_shell(curl + url + "/metrics"), "\ncohort_workers 1\n"));

    const std::string ticks = test::run_shell("curl -sN --max-time 20" + url + "/api/clock | head -n 9");
    CHECK(ticks == ": \n\nevent: tick\nid: 1\ndata: 1\n\nevent: tick\nid: 2\ndata: 2\n");

    // A client that listens does not hold up the end.
    test::HttpClient listener(port);
    listener.send("GET", "/api/clock");
    while (listener.line() != "data: 1") {
    }
    program.signal(SIGTERM);
    const std::string log = program.rest();
    CHECK(has(log, "] \"GET /readyz HTTP/1.1\" 200 6 \"-\" \"curl/"));
    CHECK(has(log, "] \"GET /../../etc/passwd HTTP/1.1\" 404 10 "));
    CHECK(program.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("http_app: the same on a Unix socket") {
    const test::Folder folder;
    const std::string path = folder / "socket";
    test::Example program("http_app", {folder.path.string(), "unix:" + path}, test::Output::out);
    CHECK(program.number_after("http_app: listening on port ") == 0);
    CHECK(test::run_shell("curl -sS --max-time 20 --unix-socket " + path + " http://localhost/livez") == "alive\n");
    program.signal(SIGTERM);
    CHECK(has(program.rest(), "unix: - - ["));
    CHECK(program.wait() == cohort::ExitStatus::exited(0));
}

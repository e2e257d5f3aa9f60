// SPDX-License-Identifier: MIT
// The example of a JSON API over SQLite, as its clients see it: notes, what is refused, workers that come and go.
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/http_client.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// A request on a connection of its own, so that workers take turns.
test::HttpReply ask(std::uint16_t port, const std::string& method, const std::string& target,
                    const std::string& body = {}, const std::string& type = "application/json") {
    test::HttpClient client(port);
    std::string head = method + " " + target + " HTTP/1.1\r\nHost: test\r\n";
    if (!type.empty()) head += "Content-Type: " + type + "\r\n";
    if (!body.empty()) head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(head + "\r\n" + body);
    return client.answer();
}

class Server : public test::Example {
public:
    Server(const test::Folder& folder, unsigned workers)
        : Example("json_api", {"--port", "0", "--workers", std::to_string(workers), "--database", folder / "notes.db"}),
          port_(port_after("json_api: listening on ")) {}

    std::uint16_t port() const noexcept { return port_; }
    test::HttpReply get(const std::string& target) const { return ask(port_, "GET", target); }
    test::HttpReply post(const std::string& body) const { return ask(port_, "POST", "/notes", body); }
    test::HttpReply put(const std::string& target, const std::string& body) const {
        return ask(port_, "PUT", target, body);
    }
    test::HttpReply patch(const std::string& target, const std::string& body) const {
        return ask(port_, "PATCH", target, body);
    }

    /// An answer without a body.
    test::HttpReply erase(const std::string& target) const {
        test::HttpClient client(port_);
        client.send("DELETE", target);
        return client.read(true).value_or(test::HttpReply{});
    }

    /// What each worker answers, by its id, once so many that `counts` have done so.
    std::map<std::string, std::string> from_workers(const std::string& target, std::size_t workers,
                                                    const std::function<bool(int)>& counts) const {
        std::map<std::string, std::string> answers;
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        while (answers.size() < workers && std::chrono::steady_clock::now() < deadline) {
            const test::HttpReply reply = get(target);
            REQUIRE(reply.status == 200);
            const std::string worker = reply.field("x-worker");
            if (counts(std::stoi(worker))) answers[worker] = reply.body;
        }
        REQUIRE(answers.size() == workers);
        return answers;
    }

    std::vector<pid_t> worker_processes() const {
        std::ifstream list("/proc/" + std::to_string(pid()) + "/task/" + std::to_string(pid()) + "/children");
        std::vector<pid_t> workers;
        for (pid_t worker = 0; list >> worker;) workers.push_back(worker);
        return workers;
    }

    /// Asked to end, it does so with code 0, and leaves no process that could say anything.
    void end() {
        signal(SIGTERM);
        CHECK(rest() == "");
        CHECK(wait() == cohort::ExitStatus::exited(0));
        CHECK(test::HttpClient::is_released(port_));
    }

private:
    std::uint16_t port_;
};

std::string error(const std::string& why) { return "{\"error\":\"" + why + "\"}\n"; }

std::string note(int id, const std::string& title, const std::string& text, bool pinned) {
    return "{\"id\":" + std::to_string(id) + ",\"pinned\":" + (pinned ? "true" : "false") + ",\"text\":\"" + text +
           "\",\"title\":\"" + title + "\"}";
}

std::string percent_encoded(const std::string& text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        result.append({'%', digits[byte >> 4], digits[byte & 15]});
    }
    return result;
}

/// How many notes a list has.
std::size_t count(const std::string& list) {
    std::size_t result = 0;
    for (std::size_t at = 0; (at = list.find("{\"id\":", at)) != std::string::npos; ++at) ++result;
    return result;
}

/// True as soon as it holds, false when it still does not then.
bool within(std::chrono::seconds time, const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

/// Runs `work(0)`, `work(1)`, ... at the same time.
void at_once(int threads, const std::function<void(int)>& work) {
    std::vector<std::jthread> running;
    for (int i = 0; i != threads; ++i) running.emplace_back(work, i);
}

/// Ends by itself with this code and this on standard error.
void refuses_to_start(std::vector<std::string> args, int code, const std::string& message) {
    test::Example example("json_api", std::move(args), test::Output::error);
    const std::string said = example.rest();
    CHECK_MESSAGE(said.find(message) != std::string::npos, said);
    CHECK(example.wait() == cohort::ExitStatus::exited(code));
}

} // namespace

TEST_CASE("json_api: notes are added, listed, shown, replaced, changed and deleted") {
    const test::Folder folder;
    Server server(folder, 2);
    CHECK(server.get("/notes").body == "{\"notes\":[]}\n");

    const test::HttpReply added = server.post(R"({"title":"Milk","text":"two litres"})");
    CHECK(added.status == 201);
    CHECK(added.field("location") == "/notes/1");
    CHECK(added.field("content-type") == "application/json");
    CHECK(added.body == note(1, "Milk", "two litres", false) + "\n");
    CHECK(server.post(R"({"title":"Bread","pinned":true})").body == note(2, "Bread", "", true) + "\n");
    CHECK(ask(server.port(), "POST", "/notes", R"({"title":"Milk tea"})", "Application/JSON; charset=utf-8").status ==
          201);

    const std::string milk = note(1, "Milk", "two litres", false);
    const std::string bread = note(2, "Bread", "", true);
    const std::string tea = note(3, "Milk tea", "", false);
    CHECK(server.get("/notes").body == "{\"notes\":[" + milk + "," + bread + "," + tea + "]}\n");
    CHECK(server.get("/notes?q=mILK").body == "{\"notes\":[" + milk + "," + tea + "]}\n");
    CHECK(server.get("/notes?q=milk&limit=1").body == "{\"notes\":[" + milk + "]}\n");
    CHECK(server.get("/notes?q=milk&limit=1&after=1").body == "{\"notes\":[" + tea + "]}\n");
    CHECK(server.get("/notes?q=cheese").body == "{\"notes\":[]}\n");
    CHECK(server.get("/notes/1").body == milk + "\n");

    // PUT replaces all of it, PATCH what is there; a note that was read can be sent back as it is.
    CHECK(server.patch("/notes/1", R"({"pinned":true})").body == note(1, "Milk", "two litres", true) + "\n");
    CHECK(server.patch("/notes/1", "{}").body == note(1, "Milk", "two litres", true) + "\n");
    CHECK(server.put("/notes/1", R"({"title":"Oat milk"})").body == note(1, "Oat milk", "", false) + "\n");
    CHECK(server.put("/notes/1", note(1, "Oat milk", "one", false)).body == note(1, "Oat milk", "one", false) + "\n");
    CHECK(server.get("/notes/1").body == note(1, "Oat milk", "one", false) + "\n");

    CHECK(server.erase("/notes/1").status == 204);
    CHECK(server.get("/notes/1").status == 404);
    CHECK(server.get("/notes").body == "{\"notes\":[" + bread + "," + tea + "]}\n");
    CHECK(server.post(R"({"title":"Milk"})").field("location") == "/notes/4"); // an id is never another note's
    server.end();
}

TEST_CASE("json_api: every worker sees at once what one of them has written") {
    const test::Folder folder;
    Server server(folder, 3);
    for (const std::string text : {"first", "second", "third"}) {
        if (text == "first")
            REQUIRE(server.post(R"({"title":"Shared","text":"first"})").status == 201);
        else
            REQUIRE(server.patch("/notes/1", R"({"text":")" + text + "\"}").status == 200);
        for (const auto& [worker, body] : server.from_workers("/notes/1", 3, [](int) { return true; }))
            CHECK(body == note(1, "Shared", text, false) + "\n");
    }
    server.end();
}

TEST_CASE("json_api: what is wrong is refused with a status and a reason, in JSON, and changes nothing") {
    const test::Folder folder;
    Server server(folder, 2);
    REQUIRE(server.post(R"({"title":"Milk"})").status == 201);
    REQUIRE(server.post(R"({"title":"Bread"})").status == 201);
    const std::string before = server.get("/notes").body;

    const std::string json = "application/json";
    const std::string title = "title must be a text of 1 to 200", text = "text must be a text of 0 to 10000";
    const std::string no_json = "the body is no JSON in UTF-8";
    const std::string limit = "limit must be a number from 1 to 100", after = "after must be the id of a note";
    const struct {
        std::string method, target, body, type;
        int status;
        std::string why;
    } table[] = {
        {"GET", "/", "", "", 404, "no such path"},
        {"GET", "/note", "", "", 404, "no such path"},
        {"GET", "/notes/1/text", "", "", 404, "no such path"},
        {"GET", "/notes/3", "", "", 404, "no such note"},
        {"GET", "/notes/0", "", "", 404, "no such note"},
        {"GET", "/notes/-1", "", "", 404, "no such note"},
        {"GET", "/notes/milk", "", "", 404, "no such note"},
        {"GET", "/notes/1x", "", "", 404, "no such note"},
        {"GET", "/notes/1%20OR%201=1", "", "", 404, "no such note"},
        {"GET", "/notes/99999999999999999999", "", "", 404, "no such note"},
        {"PUT", "/notes/3", R"({"title":"Tea"})", json, 404, "no such note"},
        {"PATCH", "/notes/3", R"({"title":"Tea"})", json, 404, "no such note"},
        {"DELETE", "/notes/3", "", "", 404, "no such note"},
        {"DELETE", "/notes", "", "", 405, "no such method here"},
        {"POST", "/notes/1", R"({"title":"Tea"})", json, 405, "no such method here"},
        {"POST", "/notes", R"({"title":"Milk"})", json, 409, "there is a note with this title"},
        {"PUT", "/notes/2", R"({"title":"Milk"})", json, 409, "there is a note with this title"},
        {"PATCH", "/notes/2", R"({"title":"Milk","pinned":true})", json, 409, "there is a note with this title"},
        {"POST", "/notes", R"({"title":"Tea"})", "", 415, "send application/json"},
        {"POST", "/notes", R"({"title":"Tea"})", "text/plain", 415, "send application/json"},
        {"PATCH", "/notes/1", "pinned=1", "application/x-www-form-urlencoded", 415, "send application/json"},
        {"POST", "/notes", std::string(64 * 1024 + 1, ' '), json, 413, "Content Too Large"},
        {"POST", "/notes", "", json, 400, no_json},
        {"POST", "/notes", "{", json, 400, no_json},
        {"POST", "/notes", R"({"title":"Tea"}})", json, 400, no_json},
        {"POST", "/notes", R"({"title":"Tea",})", json, 400, no_json},
        {"POST", "/notes", R"({"title":'Tea'})", json, 400, no_json},
        {"POST", "/notes", R"({"title":1e999})", json, 400, no_json},
        {"POST", "/notes", R"({"title":"\ud800"})", json, 400, no_json},
        {"POST", "/notes", "{\"title\":\"\xff\xfe\"}", json, 400, no_json},
        {"POST", "/notes", "{\"title\":\"a\nb\"}", json, 400, no_json},
        {"POST", "/notes", std::string(60'000, '['), json, 400, no_json},
        {"POST", "/notes", std::string(30'000, '[') + std::string(30'000, ']'), json, 400, "a note is a JSON object"},
        {"POST", "/notes", "null", json, 400, "a note is a JSON object"},
        {"POST", "/notes", R"("Tea")", json, 400, "a note is a JSON object"},
        {"POST", "/notes", R"([{"title":"Tea"}])", json, 400, "a note is a JSON object"},
        {"POST", "/notes", "{}", json, 400, "title is missing"},
        {"PUT", "/notes/1", R"({"text":"Tea"})", json, 400, "title is missing"},
        {"POST", "/notes", R"({"title":""})", json, 400, title},
        {"POST", "/notes", R"({"title":null})", json, 400, title},
        {"POST", "/notes", R"({"title":7})", json, 400, title},
        {"POST", "/notes", R"({"title":["Tea"]})", json, 400, title},
        {"PATCH", "/notes/1", R"({"title":""})", json, 400, title},
        {"POST", "/notes", "{\"title\":\"" + std::string(201, 'x') + "\"}", json, 400, title},
        {"POST", "/notes", R"({"title":"Tea","text":false})", json, 400, text},
        {"POST", "/notes", R"({"title":"Tea","text":")" + std::string(10'001, 'x') + "\"}", json, 400, text},
        {"POST", "/notes", R"({"title":"Tea","pinned":1})", json, 400, "pinned must be true or false"},
        {"PATCH", "/notes/1", R"({"pinned":"true"})", json, 400, "pinned must be true or false"},
        {"POST", "/notes", R"({"title":"Tea","colour":"red"})", json, 400, "a note has no colour"},
        {"POST", "/notes", R"({"title":"Tea","\"\u2603":1})", json, 400, "a note has no \\\"\xe2\x98\x83"},
        {"POST", "/notes", R"({"title":"Tea","id":1})", json, 400, "id cannot be chosen"},
        {"PATCH", "/notes/1", R"({"id":2})", json, 400, "id cannot be chosen"},
        {"GET", "/notes?limit=0", "", "", 400, limit},
        {"GET", "/notes?limit=101", "", "", 400, limit},
        {"GET", "/notes?limit=", "", "", 400, limit},
        {"GET", "/notes?limit=ten", "", "", 400, limit},
        {"GET", "/notes?limit=1;DROP%20TABLE%20notes", "", "", 400, limit},
        {"GET", "/notes?after=-1", "", "", 400, after},
        {"GET", "/notes?after=9223372036854775808", "", "", 400, after},
    };
    for (const auto& [method, target, body, type, status, why] : table) {
        CAPTURE(method);
        CAPTURE(target);
        CAPTURE(body.substr(0, 60));
        CAPTURE(type);
        const test::HttpReply reply = ask(server.port(), method, target, body, type);
        CHECK(reply.status == status);
        CHECK(reply.body == error(why));
        CHECK(reply.field("content-type") == "application/json");
    }
    CHECK(ask(server.port(), "DELETE", "/notes").field("allow") == "GET, HEAD, POST, OPTIONS");

    // Too much that comes in chunks is noticed as it comes.
    test::HttpClient client(server.port());
    client.send("POST /notes HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                "Transfer-Encoding: chunked\r\n\r\n10001\r\n" +
                std::string(0x10001, ' ') + "\r\n0\r\n\r\n");
    CHECK(client.answer().body == error("Content Too Large"));

    CHECK(server.get("/notes").body == before);
    CHECK(server.post(R"({"title":"Tea"})").field("location").starts_with("/notes/"));
    server.end();
}

TEST_CASE("json_api: any text is a text, whatever it would be in SQL, in JSON or in a query") {
    const test::Folder folder;
    Server server(folder, 2);
    const struct {
        std::string title; ///< as it is
        std::string json;  ///< as JSON has it
    } table[] = {
        {"Robert'); DROP TABLE notes;--", "Robert'); DROP TABLE notes;--"},
        {"' OR '1'='1", "' OR '1'='1"},
        {"100% _ ?1 :a $b @c", "100% _ ?1 :a $b @c"},
        {"a\"b\\c/d", R"(a\"b\\c/d)"},
        {"a\tb\nc\x7f", "a\\tb\\nc\x7f"},
        {"M\xc3\xb6hre \xe2\x98\x83 \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x8e\x89",
         "M\xc3\xb6hre \xe2\x98\x83 \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x8e\x89"},
        {"<script>&amp;</script>", "<script>&amp;</script>"},
    };
    int id = 0;
    for (const auto& [title, in_json] : table) {
        CAPTURE(title);
        const std::string expected = note(++id, in_json, in_json, false);
        const auto added = server.post(R"({"title":")" + in_json + R"(","text":")" + in_json + "\"}");
        CHECK(added.status == 201);
        CHECK(added.body == expected + "\n");
        CHECK(server.get("/notes/" + std::to_string(id)).body == expected + "\n");
        CHECK(server.get("/notes?q=" + percent_encoded(title)).body == "{\"notes\":[" + expected + "]}\n");
    }
    CHECK(server.get("/notes?q=%25").body.find("100%") != std::string::npos);
    CHECK(count(server.get("/notes?q=%25").body) == 1); // and no pattern

    // Escaped in the request, it is the same text; a zero is a character as any other.
    CHECK(
        server.patch("/notes/1", R"({"title":"\u0041\u0000\ud83c\udf89"})").body.find("\"A\\u0000\xf0\x9f\x8e\x89\"") !=
        std::string::npos);
    CHECK(server.get("/notes/1").body.find("\"A\\u0000\xf0\x9f\x8e\x89\"") != std::string::npos);

    // Characters are counted, not bytes.
    std::string most;
    for (int i = 0; i != 200; ++i) most += "\xf0\x9f\x8e\x89";
    CHECK(server.post(R"({"title":")" + most + "\"}").status == 201);
    CHECK(server.post(R"({"title":")" + most + "!\"}").status == 400);
    CHECK(server.post(R"({"title":"long","text":")" + std::string(10'000, 'x') + "\"}").status == 201);
    server.end();
}

TEST_CASE("json_api: of those who write at the same time nobody is lost, and one gets the title") {
    const test::Folder folder;
    Server server(folder, 2);
    constexpr int writers = 4, notes = 15;
    std::vector<std::vector<int>> statuses(writers);
    at_once(writers, [&](int writer) {
        for (int i = 0; i != notes; ++i) {
            const std::string own = std::to_string(writer) + "-" + std::to_string(i);
            statuses[static_cast<std::size_t>(writer)].push_back(server.post(R"({"title":"own )" + own + "\"}").status);
            statuses[static_cast<std::size_t>(writer)].push_back(
                server.post(R"({"title":"shared )" + std::to_string(i) + "\"}").status);
        }
    });
    std::map<int, int> counts;
    for (const auto& one : statuses)
        for (const int status : one) ++counts[status];
    CHECK(counts == std::map<int, int>{{201, writers * notes + notes}, {409, (writers - 1) * notes}});
    CHECK(count(server.get("/notes?limit=100&q=own").body) == writers * notes);
    CHECK(count(server.get("/notes?limit=100&q=shared").body) == notes);

    // Each changes a field of its own of one note: no change undoes another.
    std::vector<int> failed(3);
    at_once(3, [&](int writer) {
        for (int i = 0; i != notes; ++i) {
            const std::string number = std::to_string(i);
            const std::string fields[] = {R"({"title":"title )" + number + "\"}", R"({"text":"text )" + number + "\"}",
                                          i % 2 == 0 ? R"({"pinned":true})" : R"({"pinned":false})"};
            const auto index = static_cast<std::size_t>(writer);
            if (server.patch("/notes/1", fields[index]).status != 200) ++failed[index];
        }
    });
    CHECK(failed == std::vector<int>{0, 0, 0});
    CHECK(server.get("/notes/1").body == note(1, "title 14", "text 14", true) + "\n");
    server.end();
}

TEST_CASE("json_api: notes outlive a reload under load, workers that are killed, and the program") {
    const test::Folder folder;
    std::string last;
    {
        Server server(folder, 2);
        int added = 0;
        const auto add = [&] { return server.post(R"({"title":"note )" + std::to_string(++added) + "\"}").status; };
        REQUIRE(add() == 201);

        server.signal(SIGHUP);
        std::set<int> seen; // who came with the reload
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        while (seen.size() < 2 && std::chrono::steady_clock::now() < deadline) {
            REQUIRE(added < 1000);
            const test::HttpReply reply = server.post(R"({"title":"note )" + std::to_string(++added) + "\"}");
            REQUIRE(reply.status == 201);
            if (const int worker = std::stoi(reply.field("x-worker")); worker > 2) seen.insert(worker);
        }
        CHECK(seen == std::set<int>{3, 4});
        CHECK(server.after("cohort: reload: ").starts_with("2 workers were replaced in "));
        const std::string target = "/notes/" + std::to_string(added);
        const std::string expected = note(added, "note " + std::to_string(added), "", false) + "\n";
        for (const auto& [worker, body] : server.from_workers(target, 2, [](int id) { return id > 2; }))
            CHECK(body == expected);

        // One after the other is killed while they write. Its client sees that; who got an answer has a note.
        std::vector<std::string> answered;
        std::atomic<std::size_t> answers = 0;
        std::jthread writer([&](const std::stop_token& stop) {
            for (int i = 0; !stop.stop_requested(); ++i) {
                try {
                    const test::HttpReply reply = server.post(R"({"title":"late )" + std::to_string(i) + "\"}");
                    if (reply.status == 201) answered.push_back(reply.field("location"));
                } catch (const std::runtime_error&) {
                    continue; // the connection ended without an answer
                }
                ++answers;
            }
        });
        const auto some_more = [&] {
            const std::size_t wanted = answers + 5;
            return within(20s, [&] { return answers >= wanted; });
        };
        for (const pid_t worker : server.worker_processes()) {
            REQUIRE(some_more());
            ::kill(worker, SIGKILL);
            REQUIRE(within(20s, [&] {
                const std::vector<pid_t> now = server.worker_processes();
                return now.size() == 2 && std::ranges::count(now, worker) == 0;
            }));
        }
        REQUIRE(some_more());
        writer.request_stop();
        writer.join();
        REQUIRE(answered.size() >= 10);
        for (const std::string& location : answered) CHECK(server.get(location).status == 200);
        for (const auto& [worker, body] : server.from_workers(target, 2, [](int id) { return id > 4; }))
            CHECK(body == expected);
        last = answered.back();
        CHECK(server.erase("/notes/1").status == 204);
        server.signal(SIGTERM);
        server.rest(); // of the killed ones something is said
        CHECK(server.wait() == cohort::ExitStatus::exited(0));
    }
    Server server(folder, 1);
    CHECK(server.get(last).status == 200);
    CHECK(server.get("/notes/1").status == 404);
    server.end();
}

TEST_CASE("json_api: a command line or a database that makes no sense ends it before there is a worker") {
    const test::Folder folder;
    const std::string file = folder / "notes.db";
    for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
             {"--port", "65536"}, {"--port", "x"}, {"--workers", "-1"}, {"--colour", "red"}, {"--database"}, {"more"}})
        refuses_to_start(args, 2, "usage: json_api ");
    CHECK(!std::filesystem::exists(file));
    refuses_to_start({"--port", "0", "--database", folder / "none/notes.db"}, 1, "unable to open database file");
    std::ofstream(folder / "text") << std::string(4096, 'x');
    refuses_to_start({"--port", "0", "--database", folder / "text"}, 1, "file is not a database");
    refuses_to_start({"--port", "0", "--workers", "1", "--database", file, "more"}, 2, "usage: json_api ");
}

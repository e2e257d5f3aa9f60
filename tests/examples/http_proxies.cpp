// SPDX-License-Identifier: MIT
// The demo server behind nginx and HAProxy, which keep their connections to it and try nothing again: while its workers
// are replaced, and when it refuses uploads. benchmarks/behind_proxies.sh does the same with many more requests.
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/free_port.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

using namespace std::chrono_literals;
using test::Example;
using test::Helper;
using test::HttpClient;

namespace {

std::string nginx_config(const std::string& folder, std::uint16_t port, std::uint16_t server) {
    std::string temporary;
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
        temporary += std::string(kind) + "_temp_path " + folder + "/" + kind + ";\n";
    return "daemon off; master_process off; pid " + folder + "/pid; error_log stderr;\nevents {}\nhttp {\n" +
           temporary +
           "access_log off; client_max_body_size 100m;\nupstream cohort { server 127.0.0.1:" + std::to_string(server) +
           "; keepalive 8; }\nserver { listen 127.0.0.1:" + std::to_string(port) +
           ";\nlocation / { proxy_pass http://cohort; proxy_http_version 1.1; proxy_set_header Connection \"\";\n"
           "proxy_next_upstream off; } }\n}\n";
}

std::string haproxy_config(std::uint16_t port, std::uint16_t server) {
    return "defaults\n mode http\n timeout client 30s\n timeout connect 5s\n timeout server 30s\n retries 0\n"
           "frontend front\n bind 127.0.0.1:" +
           std::to_string(port) +
           "\n default_backend back\nbackend back\n http-reuse always\n server s 127.0.0.1:" + std::to_string(server) +
           "\n";
}

int execute(std::vector<std::string> words) {
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::setenv("PATH", (std::string(std::getenv("PATH")) + ":/usr/sbin").c_str(), 1);
    ::execvp(argv[0], argv.data());
    std::perror(argv[0]);
    return 119;
}

void wait_until_served(std::uint16_t port) {
    const auto is_served = [port] { return !HttpClient::is_refused(port); };
    REQUIRE(test::eventually(is_served, 20s));
}

/// Which workers answer on so many connections, until each has had so many answers. Any other answer fails.
std::set<std::string> answering(std::vector<HttpClient>& clients, int rounds) {
    std::set<std::string> workers;
    for (int round = 0; round != rounds; ++round)
        for (HttpClient& client : clients) {
            const test::HttpReply reply = round % 10 == 9 ? client.ask("POST", "/", "echo") : client.get("/worker");
            REQUIRE(reply.status == 200);
            if (round % 10 != 9) workers.insert(reply.body);
        }
    return workers;
}

void goes_unnoticed(Example& server, std::uint16_t port) {
    wait_until_served(port);
    std::vector<HttpClient> clients;
    for (int i = 0; i != 8; ++i) clients.emplace_back(port);
    const std::set<std::string> first = answering(clients, 50);
    std::set<std::string> later = first;
    server.signal(SIGHUP);
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    const auto are_gone = [&] {
        for (const std::string& worker : first)
            if (later.contains(worker)) return false;
        return true;
    };
    while (!are_gone() && std::chrono::steady_clock::now() < deadline) later = answering(clients, 9);
    CHECK(are_gone());
    CHECK_FALSE(answering(clients, 50).empty());
}

/// A running proxy, and the server behind it.
struct Behind {
    explicit Behind(const std::string& name, std::vector<std::string> options = {}) : server("http_server", options) {
        const std::string config = folder / "config";
        const std::uint16_t server_port = Example::port_in(server.line().value_or(""));
        if (name == "nginx") {
            std::ofstream(config) << nginx_config(folder / "", port, server_port);
            words = {"nginx", "-c", config, "-e", "stderr"};
        } else {
            std::ofstream(config) << haproxy_config(port, server_port);
            words = {"haproxy", "-q", "-db", "-f", config};
        }
        proxy.emplace([this] { return execute(words); });
        wait_until_served(port);
    }
    std::string end() {
        proxy->signal(SIGTERM);
        server.signal(SIGTERM);
        CHECK(server.wait() == cohort::ExitStatus::exited(0));
        return proxy->rest();
    }

    test::Folder folder;
    Example server;
    std::uint16_t port = test::free_port(); // a proxy must be told where to listen, and does not say when it does
    std::vector<std::string> words;
    std::optional<Helper> proxy;
};

/// The status with which curl sees its upload answered; a reset is an exit code of its own.
std::string upload(std::uint16_t port, const std::string& path, const std::string& file) {
    return test::run_shell("curl -s -o /dev/null -w '%{http_code}' --max-time 20 -H Expect: --data-binary @" + file +
                           " http://127.0.0.1:" + std::to_string(port) + path + " || echo \" failed: $?\"");
}

} // namespace

TEST_CASE("a proxy's clients do not notice that workers are replaced") {
    std::string name;
    SUBCASE("nginx") { name = "nginx"; }
    SUBCASE("HAProxy") { name = "haproxy"; }
    Behind behind(name, {"--port", "0", "--workers", "2"});
    goes_unnoticed(behind.server, behind.port);
    CHECK(behind.end() == "");
}

TEST_CASE("a proxy's clients see how the server refuses their uploads") {
    std::string name;
    SUBCASE("nginx") { name = "nginx"; }
    SUBCASE("HAProxy") { name = "haproxy"; }
    Behind behind(name, {"--port", "0", "--workers", "2", "--body-limit", "3000000"});
    const std::string file = behind.folder / "upload";
    for (const unsigned size : {1024u, 100'000u, 1'000'000u, 2'500'000u, 6'000'000u}) {
        std::ofstream(file).close();
        std::filesystem::resize_file(file, size);
        CAPTURE(size);
        const bool is_too_large = size > 3'000'000;
        CHECK(upload(behind.port, "/private", file) == (is_too_large ? "413" : "401"));
        CHECK(upload(behind.port, "/none", file) == (is_too_large ? "413" : "404"));
        CHECK(upload(behind.port, "/worker", file) == (is_too_large ? "413" : "405"));
        CHECK(upload(behind.port, "/small", file) == "413");
    }
    behind.end(); // nginx tells that it buffers what is large
}

// SPDX-License-Identifier: MIT
// The example of a server that speaks TLS, as curl sees it, with a certificate that changes.
#include "support/example.hpp"
#include "support/http_server.hpp"
#include "support/tls.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace {

TEST_CASE("https_hello: who trusts the certificate is served, and a reload brings another one") {
    const test::Certificate one, other;
    const auto ask = [](const test::Certificate& trusted, std::uint16_t port) {
        return test::run_shell("curl -s --max-time 20 --cacert " + trusted.chain() +
                               " https://localhost:" + std::to_string(port) + " || echo refused");
    };
    test::Example program("https_hello", {one.chain(), one.key(), "127.0.0.1:0"}, test::Output::out);
    const std::uint16_t port = program.port_after("worker 1 listens on ");
    CHECK(ask(one, port) == "Hello 127.0.0.1, nobody else can read this\n");
    CHECK(ask(other, port) == "refused\n");
    const auto replace = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(other.chain(), one.chain(), replace);
    std::filesystem::copy_file(other.key(), one.key(), replace);
    program.signal(SIGHUP);
    CHECK(program.port_after("worker 2 listens on ") == port);
    // The old worker may still get a connection or two, until it has left.
    std::string answer = ask(other, port);
    for (int tries = 0; tries != 100 && answer == "refused\n"; ++tries) answer = ask(other, port);
    CHECK(answer == "Hello 127.0.0.1, nobody else can read this\n");
    program.signal(SIGTERM);
    CHECK(program.wait() == cohort::ExitStatus::exited(0));
}

/// Keep-alive clients that heed `Connection: close`: what became of their requests.
struct Crowd {
    explicit Crowd(std::uint16_t to) : port(to) {
        for (auto& client : clients) client.emplace(port);
    }

    /// One request of each.
    void ask_all() {
        for (auto& client : clients) {
            const std::string response = client->send(test::get("/")).response();
            if (!test::has(response, "nobody else can read this")) ++failed;
            if (test::closes(response)) {
                ++told;
                // Nothing more comes, and that is said (RFC 8446 section 6.1).
                if (!client->take(1).empty() || !client->was_told()) ++failed;
            }
            if (test::closes(response) || response.empty()) client.emplace(port);
        }
    }

    std::uint16_t port;
    std::array<std::optional<test::TlsClient>, 16> clients;
    int failed = 0;
    int told = 0;
};

TEST_CASE("https_hello: no request of a client that heeds what it is told fails when workers are replaced") {
    const test::Certificate certificate;
    test::Example program("https_hello", {certificate.chain(), certificate.key(), "127.0.0.1:0"}, test::Output::out);
    Crowd crowd(program.port_after("worker 1 listens on "));
    crowd.ask_all();
    for (int reload = 1; reload <= 4; ++reload) {
        program.signal(SIGHUP);
        CHECK(program.port_after("worker " + std::to_string(reload + 1) + " listens on ") == crowd.port);
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (crowd.told < 16 * reload && std::chrono::steady_clock::now() < deadline) crowd.ask_all();
        CHECK(crowd.told == 16 * reload);
        CHECK(crowd.failed == 0);
    }
    program.signal(SIGTERM);
    CHECK(program.wait() == cohort::ExitStatus::exited(0));
    for (auto& client : crowd.clients) {
        CHECK(client->take(1).empty());
        CHECK(client->was_told());
    }
}

} // namespace

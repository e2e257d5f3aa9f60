// SPDX-License-Identifier: MIT
// The example of a server that speaks TLS, as curl sees it, with a certificate that changes.
#include "support/example.hpp"
#include "support/tls.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
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

} // namespace

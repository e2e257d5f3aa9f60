// SPDX-License-Identifier: MIT
#include <cohort/endpoint.hpp>

#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/serialize.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using cohort::Endpoint;
using cohort::Errc;

namespace {

bool is_refused(std::string_view text) {
    try {
        const Endpoint endpoint{text};
    } catch (const std::system_error& error) {
        return error.code() == Errc::bad_endpoint;
    }
    return false;
}

} // namespace

TEST_CASE("every form of a TCP endpoint") {
    struct Row {
        const char* text;
        const char* host;
        std::uint16_t port;
        const char* again;
    };
    const Row rows[] = {
        {"8080", "", 8080, "*:8080"},
        {":8080", "", 8080, "*:8080"},
        {"*:8080", "", 8080, "*:8080"},
        {"0", "", 0, "*:0"},
        {"127.0.0.1:0", "127.0.0.1", 0, "127.0.0.1:0"},
        {"0.0.0.0:65535", "0.0.0.0", 65535, "0.0.0.0:65535"},
        {"localhost:80", "127.0.0.1", 80, "127.0.0.1:80"},
        {"[::1]:8080", "::1", 8080, "[::1]:8080"},
        {"[::]:1", "::", 1, "[::]:1"},
        {"[fe80::1:2]:443", "fe80::1:2", 443, "[fe80::1:2]:443"},
        {"[fe80::1%lo]:443", "fe80::1%lo", 443, "[fe80::1%lo]:443"},
        {"[febf::1%wlan0.7-x]:0", "febf::1%wlan0.7-x", 0, "[febf::1%wlan0.7-x]:0"},
        {"[ff02::1%1]:443", "ff02::1%1", 443, "[ff02::1%1]:443"},
        {"[ff01::1%lo]:443", "ff01::1%lo", 443, "[ff01::1%lo]:443"},
        {"[fe80::1%lo]:1 v6only", "fe80::1%lo", 1, "[fe80::1%lo]:1 v6only"},
        {"[::ffff:127.0.0.1]:443", "::ffff:127.0.0.1", 443, "[::ffff:127.0.0.1]:443"},
        {"[::]:8080 v6only", "::", 8080, "[::]:8080 v6only"},
        {"[::1]:0 v6only", "::1", 0, "[::1]:0 v6only"},
        {"*:8080 v6only", "::", 8080, "[::]:8080 v6only"},
        {"8080 v6only", "::", 8080, "[::]:8080 v6only"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const Endpoint endpoint{row.text};
        CHECK_FALSE(endpoint.is_unix());
        CHECK(endpoint.host() == row.host);
        CHECK(endpoint.port() == row.port);
        CHECK(endpoint.to_string() == row.again);
        CHECK(Endpoint{endpoint.to_string()} == endpoint);
    }
}

TEST_CASE("an endpoint from a number, from parts, or from nothing") {
    CHECK(Endpoint{8080} == Endpoint{"*:8080"});
    CHECK(Endpoint{std::uint16_t{8080}} == Endpoint{8080L});
    CHECK(Endpoint::tcp("::1", 80) == Endpoint{"[::1]:80"});
    CHECK(Endpoint::tcp("localhost", 80) == Endpoint{"127.0.0.1:80"});
    CHECK(Endpoint::tcp("*", 80) == Endpoint{80});
    CHECK(Endpoint::tcp("", 80) == Endpoint{80});
    CHECK(Endpoint{} == Endpoint{0});

    const std::vector<Endpoint> implicitly{8080, "127.0.0.1:81", std::string("[::1]:82")};
    CHECK(implicitly[1].port() == 81);
}

TEST_CASE("a Unix socket is a path with permission bits") {
    const Endpoint endpoint{"unix:/run/app.sock"};
    CHECK(endpoint.is_unix());
    CHECK(endpoint.path() == "/run/app.sock");
    CHECK(endpoint.mode() == 0600);
    CHECK(endpoint.to_string() == "unix:/run/app.sock");
    CHECK(endpoint == Endpoint::unix_path("/run/app.sock"));
    CHECK(endpoint != Endpoint::unix_path("/run/app.sock", 0660));
    CHECK(Endpoint::unix_path("relative.sock", 0102777).mode() == 0777);
    CHECK(Endpoint{"unix:with:colon:80"}.path() == "with:colon:80");
}

TEST_CASE("IPv6 alone is another endpoint than IPv6 with IPv4") {
    const Endpoint both = Endpoint::tcp("::", 80);
    CHECK_FALSE(both.v6_only());
    CHECK_FALSE(Endpoint{80}.v6_only());
    CHECK(both.only_v6().v6_only());
    CHECK(both.only_v6() != both);
    CHECK(both.only_v6() == Endpoint{"[::]:80 v6only"});
    CHECK(Endpoint{80}.only_v6() == both.only_v6());
    CHECK(both.only_v6().only_v6() == both.only_v6());
    for (const auto& without : {Endpoint::tcp("127.0.0.1", 80), Endpoint::unix_path("/run/x")}) {
        CAPTURE(without.to_string());
        CHECK_THROWS_AS(without.only_v6(), std::system_error);
    }
    CHECK(Endpoint{"unix:/run/x v6only"}.path() == "/run/x v6only");
}

TEST_CASE("a socket that the program was started with") {
    const Endpoint inherited{"fd:3"};
    CHECK(inherited == Endpoint::inherited(3));
    CHECK(inherited.is_inherited());
    CHECK(inherited.descriptor() == 3);
    CHECK(inherited.to_string() == "fd:3");
    CHECK(inherited != Endpoint{"fd:4"});
    CHECK(inherited != Endpoint{});
    CHECK(Endpoint{"fd:0"}.is_inherited());

    const Endpoint activated{"activated:web"};
    CHECK(activated == Endpoint::activated("web"));
    CHECK(activated.is_activated());
    CHECK(activated.activation_name() == "web");
    CHECK(activated.to_string() == "activated:web");
    CHECK(activated != Endpoint::activated("0"));

    for (const auto& endpoint : {inherited, activated}) {
        CHECK_FALSE(endpoint.is_tcp());
        CHECK_FALSE(endpoint.is_unix());
        CHECK_THROWS_AS(endpoint.only_v6(), std::system_error);
    }
    CHECK(Endpoint{8080}.is_tcp());
    CHECK_FALSE(Endpoint{"unix:fd:3"}.is_inherited());
    CHECK_FALSE(Endpoint{8080}.is_inherited());
    CHECK_FALSE(Endpoint{8080}.is_activated());
    CHECK_THROWS_AS(Endpoint::inherited(-1), std::system_error);
    CHECK_THROWS_AS(Endpoint::activated(""), std::system_error);
    CHECK_THROWS_AS(Endpoint::activated("a:b"), std::system_error);
    CHECK_THROWS_AS(Endpoint::activated(std::string("a\0b", 3)), std::system_error);
    CHECK_THROWS_AS(Endpoint::activated(std::string(256, 'x')), std::system_error);
}

TEST_CASE("a text that is no endpoint is refused") {
    const std::string texts[] = {
        "",
        ":",
        "abc",
        "80a",
        " 80",
        "80 ",
        "+80",
        "-1",
        "65536",
        "99999999999",
        "127.0.0.1",
        "127.0.0.1:",
        "::1",
        "::1:80",
        "[::1]",
        "[::1]:",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[:80",
        "]:80",
        "1:2:3",
        "unix:",
        "example.com:80",
        "1.2.3:80",
        "1.2.3.256:80",
        "[1.2.3.4]:80",
        "[*]:80",
        "[localhost]:80",
        "*:*",
        "127.0.0.1:0x50",
        "127.0.0.1 :80",
        "[::g]:80",
        "[fe80::1%]:80",
        "[%lo]:80",
        "[fe80::1%%lo]:80",
        "[fe80::1%lo%lo]:80",
        "[fe80::1%a b]:80",
        "[fe80::1%a/b]:80",
        "[fe80::1%a:b]:80",
        "[fe80::1%abcdefghijklmnop]:80", // an interface's name has 15 characters at most
        "[::1%lo]:80",                   // one address, whichever interface
        "[2001:db8::1%lo]:80",
        "127.0.0.1%lo:80",
        "fe80::1%lo:80",
        "80:",
        "http://1.2.3.4:80",
        "127.0.0.1:80 v6only",
        "localhost:80 v6only",
        "[::]:80v6only",
        "[::]:80  v6only",
        "[::]:80 v6only ",
        "[::]:80 V6ONLY",
        " v6only",
        "fd:",
        "fd:-1",
        "fd:3x",
        "fd: 3",
        "fd:99999999999",
        "fd:3 v6only",
        "activated:",
        "activated:a:b",
        "v6only",
    };
    for (const auto& text : texts) {
        CAPTURE(text);
        CHECK(is_refused(text));
    }
    CHECK(is_refused(std::string_view("unix:/a\0b", 9)));
    CHECK(is_refused(std::string_view("127.0.0.1\0:80", 13)));
}

TEST_CASE("a refusal says what was written") {
    CHECK_THROWS_WITH(Endpoint{"8o8o"}, doctest::Contains("'8o8o'"));
    CHECK_THROWS_WITH(Endpoint{"example.com:80"}, doctest::Contains("'example.com"));
    CHECK_THROWS_WITH(Endpoint{65536}, doctest::Contains("'65536'"));
}

TEST_CASE("a number that is no port is refused") {
    for (const long long port : {-1LL, 65536LL, 1LL << 40, -65535LL}) {
        CAPTURE(port);
        CHECK_THROWS_AS(Endpoint{port}, std::system_error);
    }
    CHECK_THROWS_AS(Endpoint{~0ULL}, std::system_error);
    CHECK_THROWS_AS(Endpoint::tcp("no.such.host", 80), std::system_error);
    CHECK_THROWS_AS(Endpoint::unix_path(""), std::system_error);
    CHECK_THROWS_AS(Endpoint::unix_path(std::string("a\0b", 3)), std::system_error);
}

TEST_CASE("an endpoint can be sent") {
    for (const auto& endpoint : {Endpoint{"[::1]:8080"}, Endpoint::unix_path("/run/x", 0660), Endpoint{},
                                 Endpoint{"[::]:8080 v6only"}, Endpoint{"fd:7"}, Endpoint{"activated:web"}}) {
        cohort::detail::Buffer bytes;
        cohort::encode(endpoint, bytes);
        Endpoint copy{1};
        CHECK_FALSE(cohort::decode(bytes.bytes(), copy));
        CHECK(copy == endpoint);
    }
}

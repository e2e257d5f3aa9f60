// SPDX-License-Identifier: MIT
#include <cohort/detail/socket/activation.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <string>

using cohort::Errc;
using namespace cohort::detail;

TEST_CASE("an activated socket is found by its name, or by its position") {
    const Activation activation{3, "web:metrics:web"};
    CHECK(activation.find("web") == 3);
    CHECK(activation.find("metrics") == 4);
    CHECK(activation.find("0") == 3);
    CHECK(activation.find("2") == 5);
    for (const char* const missing : {"3", "", "we", "web:metrics", "-1", "+1", "1x", "99999999999"}) {
        CAPTURE(missing);
        CHECK_FALSE(activation.find(missing));
    }
}

TEST_CASE("names may be missing, be too many, or be numbers") {
    CHECK(Activation{2, ""}.find("1") == 4);
    CHECK(Activation{2, "a"}.find("1") == 4);
    CHECK_FALSE(Activation{1, "a:b"}.find("b"));
    CHECK(Activation{2, "1:0"}.find("1") == 3); // a name comes first
    CHECK_FALSE(Activation{}.find("0"));
    CHECK(Activation{2, ":b"}.find("b") == 4);
    const Activation kept{3, "cohort-0-00:web:cohort-1-00"}; // what cohort itself has had kept is nobody's socket
    for (const char* const name : {"0", "2", "cohort-0-00", "cohort-1-00"}) CHECK_FALSE(kept.find(name));
    CHECK(kept.find("1") == 4);
    CHECK(Activation{2, "cohort-0-00:0"}.find("0") == 4); // as a name
}

TEST_CASE("only the process that the variables are for was activated") {
    const int code = test::in_child([] {
        std::error_code error;
        ::unsetenv("LISTEN_PID");
        ::setenv("LISTEN_FDS", "1", 1);
        ::setenv("LISTEN_FDNAMES", "web", 1);
        if (activated_descriptor("web", error) != -1 || error != Errc::not_activated) return 1;
        for (const auto& other : {std::to_string(::getppid()), std::string("x"), std::string()}) {
            ::setenv("LISTEN_PID", other.c_str(), 1);
            error.clear();
            if (activated_descriptor("web", error) != -1 || error != Errc::not_activated) return 2;
        }
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        error.clear();
        if (activated_descriptor("web", error) != 3 || error) return 3;
        for (const char* const count : {"x", "-1", "", "99999999999"}) {
            ::setenv("LISTEN_FDS", count, 1);
            error.clear();
            if (activated_descriptor("web", error) != -1 || error != Errc::not_activated) return 4;
        }
        return 0;
    });
    CHECK(code == 0);
}

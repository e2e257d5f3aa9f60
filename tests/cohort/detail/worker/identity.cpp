// SPDX-License-Identifier: MIT
#include <cohort/detail/worker/identity.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

using namespace cohort::detail;

namespace {

Identity example() {
    Identity identity;
    identity.id = 7;
    identity.slot = 2;
    identity.cell = 11;
    identity.master = 4711;
    identity.control = 3;
    identity.channel = 4;
    identity.page = 5;
    identity.part = 6;
    identity.dumpable = false;
    identity.generation = 12;
    identity.inherited = {8, 9};
    return identity;
}

TEST_CASE("an identity survives the way through the environment") {
    const auto identity = parse_identity(to_string(example()));
    REQUIRE(identity);
    CHECK(identity->id == 7);
    CHECK(identity->slot == 2);
    CHECK(identity->cell == 11);
    CHECK(identity->master == 4711);
    CHECK_FALSE(identity->dumpable);
    CHECK(identity->generation == 12);
    CHECK(identity->descriptors() == std::vector<int>{8, 9, 3, 4, 5, 6});
}

TEST_CASE("what no master writes is no identity") {
    for (const char* text :
         {"", " ", "7", "1 2 3 4 5 6 7", "1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8 1", "1 2 3 4 5 6 7 8 x 0",
          "1 2 3 4 5 6 7 -8 1 0", "1,2,3,4,5,6,7,8,1,0", "1 2 3 4 5 6 7 8 1 0 y", "1 2 99999 4 5 6 7 8 1 0"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_identity(text));
    }
}

TEST_CASE("taken once, the variable is gone and the descriptors are closed in programs started later") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    Identity identity = example();
    identity.control = identity.channel = identity.page = identity.part = ends[0];
    identity.inherited = {ends[1]};
    ::setenv(identity_variable, to_string(identity).c_str(), 1);
    CHECK(take_identity_from_environment());
    CHECK(std::getenv(identity_variable) == nullptr);
    for (const int fd : ends) CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_FALSE(take_identity_from_environment());
    for (const int fd : ends) ::close(fd);
}

TEST_CASE("an identity with descriptors that are not open is refused") {
    Identity identity = example();
    identity.inherited = {1'000'000};
    ::setenv(identity_variable, to_string(identity).c_str(), 1);
    CHECK_FALSE(take_identity_from_environment());
    CHECK(std::getenv(identity_variable) == nullptr);
}

} // namespace

// SPDX-License-Identifier: MIT
#include <cohort/detail/socket/shared_address.hpp>

#include <doctest/doctest.h>

using cohort::Endpoint;
using cohort::detail::SharedAddress;

TEST_CASE("an address is meant by who asked for it, and by who knows its number") {
    const SharedAddress any{"127.0.0.1:0", "127.0.0.1:4000"};
    CHECK(any.is_meant_by("127.0.0.1:0"));
    CHECK(any.is_meant_by("127.0.0.1:4000"));
    for (const char* const other : {"127.0.0.1:4001", "127.0.0.2:4000", "127.0.0.2:0", "4000", "unix:/x", "fd:0"}) {
        CAPTURE(other);
        CHECK_FALSE(any.is_meant_by(other));
    }
}

TEST_CASE("IPv6 alone is another address than IPv6 with IPv4") {
    const SharedAddress alone{"[::]:0 v6only", "[::]:4000 v6only"};
    CHECK(alone.is_meant_by("[::]:0 v6only"));
    CHECK(alone.is_meant_by("[::]:4000 v6only"));
    CHECK_FALSE(alone.is_meant_by("[::]:4000"));
    CHECK_FALSE(alone.is_meant_by("[::]:0"));
    const SharedAddress both{Endpoint(0), "[::]:4000"};
    CHECK(both.is_meant_by(4000));
    CHECK_FALSE(both.is_meant_by("[::]:4000 v6only"));
}

TEST_CASE("paths and sockets that exist are meant by their names only, and have one socket for all slots") {
    const SharedAddress inherited{"fd:3", "127.0.0.1:4000"};
    CHECK(inherited.is_meant_by("fd:3"));
    CHECK_FALSE(inherited.is_meant_by("fd:4"));
    CHECK_FALSE(inherited.is_meant_by("127.0.0.1:4000"));
    CHECK(inherited.key(7) == 0);
    const auto path = Endpoint::unix_path("/x", 0660);
    CHECK(SharedAddress{path, path}.is_meant_by(path));
    CHECK_FALSE(SharedAddress{path, path}.is_meant_by("unix:/x"));
    CHECK(SharedAddress{path, path}.key(7) == 0);
    CHECK(SharedAddress{8080, 8080}.key(7) == 7);
}

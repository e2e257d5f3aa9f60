// SPDX-License-Identifier: MIT
#include <cohort/detail/system/unique_fd.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

using cohort::detail::OwnedDescriptors;
using cohort::detail::UniqueFd;

namespace {

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

} // namespace

TEST_CASE("a descriptor is closed with its owner, and listed as long as it is owned") {
    int number = -1;
    {
        const UniqueFd fd(open_null());
        REQUIRE(fd);
        number = fd.get();
        CHECK(OwnedDescriptors::contains(number));
        CHECK(std::ranges::count(OwnedDescriptors::all(), number) == 1);
    }
    CHECK_FALSE(is_open(number));
    CHECK_FALSE(OwnedDescriptors::contains(number));
}

TEST_CASE("moving hands it on, assigning closes what was there") {
    UniqueFd a(open_null());
    UniqueFd b(open_null());
    const int first = a.get();
    const int second = b.get();

    b = std::move(a);
    CHECK_FALSE(a);
    CHECK(b.get() == first);
    CHECK(is_open(first));
    CHECK_FALSE(is_open(second));
    CHECK(OwnedDescriptors::contains(first));
    CHECK_FALSE(OwnedDescriptors::contains(second));

    UniqueFd& same = b;
    b = std::move(same);
    CHECK(is_open(first));

    const UniqueFd c(std::move(b));
    CHECK(c.get() == first);
    CHECK_FALSE(b);
}

TEST_CASE("a released descriptor stays open and is no longer listed") {
    UniqueFd fd(open_null());
    const int number = fd.release();
    CHECK_FALSE(fd);
    CHECK(is_open(number));
    CHECK_FALSE(OwnedDescriptors::contains(number));
    ::close(number);
}

TEST_CASE("owning nothing is fine") {
    UniqueFd nothing;
    UniqueFd failed(-1);
    nothing.reset();
    CHECK(nothing.release() == -1);
    CHECK(failed.get() == -1);
    CHECK_FALSE(OwnedDescriptors::contains(-1));
    CHECK_FALSE(OwnedDescriptors::contains(1 << 20));
}

// SPDX-License-Identifier: MIT
#include <cohort/detail/config.hpp>

#include <asio/awaitable.hpp>

#include <doctest/doctest.h>

#include <coroutine>

TEST_CASE("behind this header Asio knows the coroutines of every supported compiler") {
#if defined(ASIO_HAS_CO_AWAIT) && defined(ASIO_HAS_STD_COROUTINE)
    CHECK(sizeof(asio::awaitable<int>) > 0);
#else
    FAIL("Asio did not find the standard coroutines");
#endif
}

TEST_CASE("behind this header Asio allocates memory in the same way, whatever was included before") {
#if defined(_GLIBCXX_HAVE_ALIGNED_ALLOC) && !defined(ASIO_HAS_STD_ALIGNED_ALLOC)
    FAIL("Asio did not see that the standard library has aligned_alloc");
#endif
}

TEST_CASE("g++ 12 is the compiler that temporaries are kept from") {
#if defined(__clang__) || __GNUC__ >= 13
    CHECK_FALSE(COHORT_NAME_MESSAGES_FIRST);
#else
    CHECK(COHORT_NAME_MESSAGES_FIRST);
#endif
}

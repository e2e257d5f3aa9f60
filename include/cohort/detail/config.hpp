// SPDX-License-Identifier: MIT
// What cohort needs of the platform and of the compiler, said before anything else fails (layer 0).
#pragma once

// Asio tests for macros of the standard library, which exist only after one of its headers: without any, aligned memory
// is allocated by operator new in one translation unit and released by free() in another.
#include <version>

#if !defined(__linux__)
#error "cohort needs Linux 5.10 or newer: it is built on pidfd, memfd, SO_REUSEPORT and SCM_RIGHTS"
#endif

#if !defined(__cpp_impl_coroutine) || __cplusplus < 202002L
#error "cohort needs C++20 coroutines: compile with -std=c++20 (g++ 12 or clang 16, or newer)"
#endif

// Asio before 1.24 does not recognise the standard coroutines of clang; its headers are read only after this one.
#if defined(__clang__)
#if !defined(ASIO_HAS_CO_AWAIT)
#define ASIO_HAS_CO_AWAIT 1
#endif
#if !defined(ASIO_HAS_STD_COROUTINE)
#define ASIO_HAS_STD_COROUTINE 1
#endif
#endif

// Bodies that depend on no template argument stand in NAME.ipp beside NAME.hpp, which includes it at its end. With
// COHORT_SEPARATE_COMPILATION the headers declare only, and one source file includes <cohort/src.hpp>; that holds for
// Asio's own bodies, too.
#if defined(COHORT_SEPARATE_COMPILATION)
#define COHORT_DECL
#if !defined(ASIO_SEPARATE_COMPILATION)
#define ASIO_SEPARATE_COMPILATION 1
#endif
#else
#define COHORT_DECL inline
#endif

// g++ compiles every inline coroutine, used or not, but templates only where they are used. This is for coroutines that
// many programs do not use. Similarly, COHORT_DECL is repeated at virtual functions in the class: one that becomes
// inline only at its definition makes g++ compile the whole class.
#if defined(COHORT_SEPARATE_COMPILATION)
#define COHORT_LAZY
#else
#define COHORT_LAZY template <class...>
#endif

#include <cohort/detail/abi_check.hpp>

// GCC 12 destroys an aggregate temporary twice when it stands inside a co_await expression (`co_await f(Hit{"/"})`).
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#define COHORT_NAME_MESSAGES_FIRST 1
#else
#define COHORT_NAME_MESSAGES_FIRST 0
#endif

// SPDX-License-Identifier: MIT
// Makes the linker reject a program whose translation units were compiled with incompatible settings (layer 0).
#pragma once

// Such units would otherwise link, and share objects whose layout they disagree on. So each defines the same symbol, in
// an ELF section group named after its settings: groups of the same name are merged, as for inline functions, and for
// two different ones the linker reports "multiple definition of `cohort_units_were_compiled_with_different_settings'".

#if defined(COHORT_SEPARATE_COMPILATION)
#define COHORT_ABI_COMPILED "compiled"
#else
#define COHORT_ABI_COMPILED "headers"
#endif
#if defined(ASIO_DISABLE_THREADS)
#define COHORT_ABI_THREADS ".disable_threads"
#else
#define COHORT_ABI_THREADS ""
#endif
#if defined(ASIO_ENABLE_HANDLER_TRACKING) || defined(ASIO_CUSTOM_HANDLER_TRACKING)
#define COHORT_ABI_TRACKING ".handler_tracking"
#else
#define COHORT_ABI_TRACKING ""
#endif
#if defined(ASIO_HAS_IO_URING)
#define COHORT_ABI_IO_URING ".io_uring"
#else
#define COHORT_ABI_IO_URING ""
#endif
#if defined(ASIO_HAS_IO_URING_AS_DEFAULT) || defined(ASIO_DISABLE_EPOLL)
#define COHORT_ABI_REACTOR ".no_epoll"
#else
#define COHORT_ABI_REACTOR ""
#endif
#if defined(ASIO_NO_TS_EXECUTORS) || defined(ASIO_USE_TS_EXECUTOR_AS_DEFAULT)
#define COHORT_ABI_EXECUTORS ".other_executors"
#else
#define COHORT_ABI_EXECUTORS ""
#endif
#if defined(ASIO_ENABLE_BUFFER_DEBUGGING) || defined(_GLIBCXX_DEBUG)
#define COHORT_ABI_DEBUGGING ".debugging"
#else
#define COHORT_ABI_DEBUGGING ""
#endif

// g++'s link-time optimisation makes one assembler file of several units, hence the guard; clang's does not know the
// groups of assembler text: COHORT_NO_ABI_CHECK is for programs that use it.
#if !defined(COHORT_NO_ABI_CHECK)
__asm__(".ifndef cohort_units_were_compiled_with_different_settings\n"
        ".pushsection .rodata.cohort_settings,\"aG\",%progbits,cohort_settings." COHORT_ABI_COMPILED COHORT_ABI_THREADS
            COHORT_ABI_TRACKING COHORT_ABI_IO_URING COHORT_ABI_REACTOR COHORT_ABI_EXECUTORS COHORT_ABI_DEBUGGING
        ",comdat\n"
        ".globl cohort_units_were_compiled_with_different_settings\n"
        ".hidden cohort_units_were_compiled_with_different_settings\n"
        "cohort_units_were_compiled_with_different_settings:\n"
        ".byte 0\n"
        ".popsection\n"
        ".endif\n");
#endif

#undef COHORT_ABI_COMPILED
#undef COHORT_ABI_THREADS
#undef COHORT_ABI_TRACKING
#undef COHORT_ABI_IO_URING
#undef COHORT_ABI_REACTOR
#undef COHORT_ABI_EXECUTORS
#undef COHORT_ABI_DEBUGGING

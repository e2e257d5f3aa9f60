// SPDX-License-Identifier: MIT
#include <cohort/exit_status.hpp>

#include <doctest/doctest.h>

#include <string>

using cohort::ExitStatus;

TEST_CASE("an exit is a code or a signal, never both") {
    for (const int code : {0, 1, 77, 255}) {
        CAPTURE(code);
        const auto status = ExitStatus::from_wait(CLD_EXITED, code);
        CHECK(status.code() == code);
        CHECK_FALSE(status.signal());
        CHECK_FALSE(status.core_dumped());
        CHECK(status.success() == (code == 0));
        CHECK(status == ExitStatus::exited(code));
        CHECK(status.describe() == "exited with code " + std::to_string(code));
    }
    for (const int how : {CLD_KILLED, CLD_DUMPED}) {
        const auto status = ExitStatus::from_wait(how, SIGSEGV);
        CHECK_FALSE(status.code());
        CHECK(status.signal() == SIGSEGV);
        CHECK(status.core_dumped() == (how == CLD_DUMPED));
        CHECK_FALSE(status.success());
        CHECK(status == ExitStatus::signaled(SIGSEGV, how == CLD_DUMPED));
    }
}

TEST_CASE("an end of which nobody knows more is neither, and no success") {
    const auto status = ExitStatus::unknown();
    CHECK_FALSE(status.code());
    CHECK_FALSE(status.signal());
    CHECK_FALSE(status.core_dumped());
    CHECK_FALSE(status.success());
    CHECK(status.describe() == "ended, nobody knows how");
    CHECK(status != ExitStatus::exited(0));
    CHECK(status == ExitStatus::unknown());
}

TEST_CASE("a signal is called by its name if it has one") {
    CHECK(ExitStatus::signaled(SIGKILL).describe() == "killed by SIGKILL");
    CHECK(ExitStatus::signaled(SIGSEGV, true).describe() == "killed by SIGSEGV (core dumped)");
    CHECK(ExitStatus::signaled(SIGRTMAX).describe() == "killed by signal " + std::to_string(SIGRTMAX));
}

TEST_CASE("a code is not equal to the signal of the same number") {
    CHECK(ExitStatus::exited(9) != ExitStatus::signaled(9));
    CHECK(ExitStatus::signaled(6) != ExitStatus::signaled(6, true));
}

// SPDX-License-Identifier: MIT
// How a process ended: a code or a signal, never both (layer 1).
#pragma once

#include <optional>
#include <string>

#include <sys/wait.h>

namespace cohort {

/// The end of a worker process, as waitid(2) tells it.
class ExitStatus {
public:
    /// From the `si_code` and `si_status` that waitid(2) fills in.
    static ExitStatus from_wait(int how, int value) noexcept {
        return how == CLD_EXITED ? exited(value) : signaled(value, how == CLD_DUMPED);
    }
    static ExitStatus exited(int code) noexcept { return {false, code, false}; }
    static ExitStatus signaled(int signal, bool core_dumped = false) noexcept { return {true, signal, core_dumped}; }

    /// The exit code, unless a signal ended the process.
    std::optional<int> code() const noexcept { return by_signal_ ? std::nullopt : std::optional(value_); }
    /// The signal that ended the process, if one did.
    std::optional<int> signal() const noexcept { return by_signal_ ? std::optional(value_) : std::nullopt; }
    bool core_dumped() const noexcept { return core_dumped_; }
    /// It ended by itself, with code 0.
    bool success() const noexcept { return !by_signal_ && value_ == 0; }

    /// For people: "exited with code 3", "killed by SIGKILL", "killed by SIGSEGV (core dumped)".
    std::string describe() const;

    friend bool operator==(const ExitStatus&, const ExitStatus&) = default;

private:
    ExitStatus(bool by_signal, int value, bool core_dumped) noexcept
        : by_signal_(by_signal), core_dumped_(core_dumped), value_(value) {}

    bool by_signal_;
    bool core_dumped_;
    int value_;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/exit_status.ipp>
#endif

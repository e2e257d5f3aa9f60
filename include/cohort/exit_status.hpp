// SPDX-License-Identifier: MIT
// How a process ended: a code, a signal, or nobody knows (layer 1).
#pragma once

#include <optional>
#include <string>

#include <sys/wait.h>

namespace cohort {

/// The end of a worker process, as waitid(2) tells it.
class ExitStatus {
public:
    /// As unknown().
    ExitStatus() noexcept = default;
    /// From the `si_code` and `si_status` that waitid(2) fills in.
    static ExitStatus from_wait(int how, int value) noexcept {
        return how == CLD_EXITED ? exited(value) : signaled(value, how == CLD_DUMPED);
    }
    static ExitStatus exited(int code) noexcept { return {How::exited, code, false}; }
    static ExitStatus signaled(int signal, bool core_dumped = false) noexcept {
        return {How::signaled, signal, core_dumped};
    }
    /// The process has ended, and its status went to another wait of the program, as waitpid(-1) is one, or to nobody,
    /// where SIGCHLD is ignored: neither code() nor signal(), and no success.
    static ExitStatus unknown() noexcept { return {}; }

    /// The exit code, if the process ended by itself.
    std::optional<int> code() const noexcept { return how_ == How::exited ? std::optional(value_) : std::nullopt; }
    /// The signal that ended the process, if one did.
    std::optional<int> signal() const noexcept { return how_ == How::signaled ? std::optional(value_) : std::nullopt; }
    bool core_dumped() const noexcept { return core_dumped_; }
    /// It ended by itself, with code 0.
    bool success() const noexcept { return code() == 0; }

    /// For people: "exited with code 3", "killed by SIGKILL", "killed by SIGSEGV (core dumped)", "ended, nobody knows
    /// how".
    std::string describe() const;

    friend bool operator==(const ExitStatus&, const ExitStatus&) = default;

    static void serialize(auto& archive, auto& self) {
        archive(self.how_, self.core_dumped_, self.value_);
        if (self.how_ > How::unknown) archive.reject();
    }

private:
    enum class How : unsigned char { exited, signaled, unknown };

    ExitStatus(How how, int value, bool core_dumped) noexcept : how_(how), core_dumped_(core_dumped), value_(value) {}

    How how_ = How::unknown;
    bool core_dumped_ = false;
    int value_ = 0;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/exit_status.ipp>
#endif

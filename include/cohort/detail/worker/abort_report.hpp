// SPDX-License-Identifier: MIT
// AbortReport: what a worker writes to standard error when it is aborted (layer 2).
#pragma once

#include <cohort/detail/control/shared_page.hpp>
#include <cohort/line_log.hpp>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <execinfo.h>
#include <unistd.h>

namespace cohort::detail {

/// Where it was, who it is, what it had to do; then the process ends by SIGABRT as any other does, by way of the
/// program's own handler if it has one, with a core file if the system makes one. Uses nothing that a signal handler
/// must not.
class AbortReport {
public:
    /// Loads what a backtrace needs, which no signal handler may do. Done in the master, its workers share it: that is
    /// 100 kB less for each.
    static void prepare() noexcept {
        void* frame = nullptr;
        ::backtrace(&frame, 1);
    }

    /// Once, in the worker; `cell` and `table` stay.
    static void install(std::uint32_t worker, unsigned slot, const WorkerCell& cell, RequestTable& table) noexcept;

    /// See RequestTable::set_doing().
    static void set_doing(std::string_view text) noexcept;

    /// The first one, and one for each frame.
    static constexpr std::size_t most_frames = 64;
    static constexpr std::size_t most_lines = 1 + most_frames;
    /// Whether a line of this worker is the first of its report.
    static bool is_begin(std::string_view line, std::uint32_t worker);

private:
    struct State {
        std::uint32_t worker = 0;
        unsigned slot = 0;
        const WorkerCell* cell = nullptr;
        RequestTable* table = nullptr;
        pid_t process = 0;
        struct sigaction next {}; // whose turn it is then
    };
    static State& state() noexcept {
        static State only;
        return only;
    }

    /// A line of a few hundred bytes at most.
    class Line {
    public:
        Line& operator<<(std::string_view text) noexcept;
        Line& operator<<(std::uint64_t number) noexcept;
        void write() const noexcept { LineLog(STDERR_FILENO).write({bytes_.data(), size_}); }

    private:
        std::array<char, 512> bytes_{};
        std::size_t size_ = 0;
    };

    static void write_backtrace() noexcept;
    static void write_and_abort(int) noexcept;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/abort_report.ipp>
#endif

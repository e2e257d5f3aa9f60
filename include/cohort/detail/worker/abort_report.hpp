// SPDX-License-Identifier: MIT
// AbortReport: what a worker writes to standard error when it is aborted (layer 2).
#pragma once

#include <cohort/detail/control/shared_page.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <string_view>

#include <execinfo.h>
#include <unistd.h>

namespace cohort::detail {

/// Where it was, who it is, what it had to do; then the process ends by SIGABRT as any other does, with a core file if
/// the system makes one. Uses nothing that a signal handler must not.
class AbortReport {
public:
    /// Loads what a backtrace needs, which no signal handler may do. Done in the master, its workers share it: that is
    /// 100 kB less for each.
    static void prepare() noexcept {
        void* frame = nullptr;
        ::backtrace(&frame, 1);
    }

    /// Once, in the worker; `cell` stays.
    static void install(std::uint32_t worker, unsigned slot, const WorkerCell& cell) noexcept {
        state().worker = worker;
        state().slot = slot;
        state().cell = &cell;
        prepare();
        struct sigaction action {};
        action.sa_handler = &AbortReport::write_and_abort;
        action.sa_flags = static_cast<int>(SA_RESETHAND);
        ::sigaction(SIGABRT, &action, nullptr);
    }

    /// What the process is doing, in the program's own words; up to 127 bytes.
    static void set_note(std::string_view text) noexcept {
        auto& note = state().note;
        const std::size_t size = std::min(text.size(), note.size() - 1);
        for (std::size_t i = 0; i < size; ++i) note[i].store(text[i], std::memory_order_relaxed);
        note[size].store('\0', std::memory_order_relaxed);
    }

private:
    struct State {
        std::uint32_t worker = 0;
        unsigned slot = 0;
        const WorkerCell* cell = nullptr;
        std::array<std::atomic<char>, 128> note{}; // the handler may interrupt who writes it; the last byte stays 0
    };
    static State& state() noexcept {
        static State only;
        return only;
    }

    /// A line of a few hundred bytes at most.
    class Line {
    public:
        Line& operator<<(std::string_view text) noexcept {
            for (const char c : text)
                if (size_ < bytes_.size()) bytes_[size_++] = c;
            return *this;
        }
        Line& operator<<(std::uint64_t number) noexcept {
            std::array<char, 24> digits{};
            const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
            return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
        }
        void write() const noexcept {
            [[maybe_unused]] const auto written = ::write(STDERR_FILENO, bytes_.data(), size_);
        }

    private:
        std::array<char, 512> bytes_{};
        std::size_t size_ = 0;
    };

    static void write_and_abort(int) noexcept {
        const State& own = state();
        const auto count = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
        Line line;
        line << "cohort: worker " << std::uint64_t{own.worker} << " (slot " << std::uint64_t{own.slot}
             << ") is aborted: " << count(own.cell->begun) << " requests begun, " << count(own.cell->ended) << " ended";
        if (count(own.note[0]) != '\0') line << "; doing: ";
        for (const auto& each : own.note) {
            const char c = count(each);
            if (c == '\0') break;
            line << std::string_view(&c, 1);
        }
        line << "\n";
        line.write();
        std::array<void*, 64> frames{};
        ::backtrace_symbols_fd(frames.data(), ::backtrace(frames.data(), frames.size()), STDERR_FILENO);
        ::raise(SIGABRT); // the default action now, as soon as this returns
    }
};

} // namespace cohort::detail

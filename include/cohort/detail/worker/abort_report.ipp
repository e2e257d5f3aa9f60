// SPDX-License-Identifier: MIT
// The bodies of abort_report.hpp (layer 2).
#pragma once

#include <cohort/detail/worker/abort_report.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>

#include <charconv>
#include <csignal>
#include <string>

#include <fcntl.h>

namespace cohort::detail {

COHORT_DECL void AbortReport::install(std::uint32_t worker, unsigned slot, const WorkerCell& cell,
                                      RequestTable& table) noexcept {
    state().worker = worker;
    state().slot = slot;
    state().cell = &cell;
    state().table = &table;
    state().process = ::getpid();
    prepare();
    struct sigaction action {};
    action.sa_handler = &AbortReport::write_and_abort;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGABRT, &action, &state().next);
}

COHORT_DECL void AbortReport::set_doing(std::string_view text) noexcept {
    if (state().table != nullptr) state().table->set_doing(text);
}

COHORT_DECL bool AbortReport::is_begin(std::string_view line, std::uint32_t worker) {
    return line.starts_with("cohort: worker " + std::to_string(worker) + " (slot ") &&
           line.find(") is aborted: ") != line.npos;
}

COHORT_DECL AbortReport::Line& AbortReport::Line::operator<<(std::string_view text) noexcept {
    for (const char c : text)
        if (size_ < bytes_.size()) bytes_[size_++] = c;
    return *this;
}

COHORT_DECL AbortReport::Line& AbortReport::Line::operator<<(std::uint64_t number) noexcept {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

/// Through a pipe of its own: backtrace_symbols_fd(3) would wait for whoever reads standard error.
COHORT_DECL void AbortReport::write_backtrace() noexcept {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    std::array<void*, most_frames> frames{};
    ::backtrace_symbols_fd(frames.data(), ::backtrace(frames.data(), frames.size()), ends[1]);
    Line line;
    for (char c = '\0'; ::read(ends[0], &c, 1) == 1;) {
        if (c != '\n') {
            line << std::string_view(&c, 1);
            continue;
        }
        line.write();
        line = {};
    }
}

COHORT_DECL void AbortReport::write_and_abort(int) noexcept {
    const State& own = state();
    if (::getpid() != own.process) { // a copy that the worker has forked
        ::sigaction(SIGABRT, &own.next, nullptr);
        ::raise(SIGABRT);
        return;
    }
    const auto count = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
    Line line;
    line << "cohort: worker " << std::uint64_t{own.worker} << " (slot " << std::uint64_t{own.slot}
         << ") is aborted: " << count(own.cell->begun) << " requests begun, " << count(own.cell->ended) << " ended";
    const auto& doing = own.table->doing;
    if (count(doing[0]) != '\0') line << "; doing: ";
    for (std::size_t i = 0; i + 1 < doing.size() && count(doing[i]) != '\0'; ++i) { // its last one is a zero
        const char c = count(doing[i]);
        const std::size_t length =
            control_length(static_cast<unsigned char>(c), static_cast<unsigned char>(count(doing[i + 1])));
        line << std::string_view(length != 0 ? "?" : &c, 1);
        if (length > 1) ++i;
    }
    line.write();
    write_backtrace();
    ::sigaction(SIGABRT, &own.next, nullptr);
    ::raise(SIGABRT); // goes there as soon as this returns
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of log_writer.hpp (layer 2).
#pragma once

#include <cohort/detail/logs/log_writer.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/logs/log_queue.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include <poll.h>
#include <sys/socket.h>

namespace cohort::detail {

COHORT_DECL LogWriter::LogWriter(int socket, const LogOptions& options, const std::atomic<std::uint64_t>& lost_at_end)
    : socket_(socket),
      lost_at_end_(lost_at_end),
      format_(options.format),
      compresses_(options.compress && options.keep > 1 && !options.path.empty()),
      file_(options),
      compressor_(file_),
      crashes_(options.crash_reports),
      buffer_(largest_packet) {}

/// The next packet, which stays in the socket. Empty: it has ended, or it is time to look after the compressor.
COHORT_DECL std::string_view LogWriter::look() {
    constexpr int compressor_interval = 100;
    pollfd arrival{socket_, POLLIN, 0};
    if (::poll(&arrival, 1, compressor_.is_running() ? compressor_interval : -1) <= 0) return {};
    const ssize_t size = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_PEEK | MSG_DONTWAIT);
    ended_ = size == 0;
    return {buffer_.data(), static_cast<std::size_t>(std::max(size, ssize_t{0}))};
}

COHORT_DECL void LogWriter::run() {
    if (compresses_) compressor_.begin();
    while (!ended_) {
        compress();
        const std::string_view packet = look();
        if (packet.empty()) continue;
        carry_out(packet);
        ::recv(socket_, buffer_.data(), 0, MSG_DONTWAIT); // takes the whole of it
    }
    tell_lost_at_end();
    compressor_.abandon();
}

/// The master itself could say it only where nobody reads the log, or not at all.
COHORT_DECL void LogWriter::tell_lost_at_end() {
    LogQueue last(format_, largest_packet);
    last.tell_lost_at_end(std::chrono::system_clock::now(), lost_at_end_.load(std::memory_order_acquire));
    ended_ = false;
    write(last.front(largest_packet));
}

COHORT_DECL void LogWriter::carry_out(std::string_view packet) {
    const char kind = packet.front();
    packet.remove_prefix(1);
    if (kind == static_cast<char>(LogPacket::lines)) return write(packet);
    if (kind == static_cast<char>(LogPacket::report)) {
        const std::size_t end = packet.find('\n');
        return write_report(packet.substr(0, end), packet.substr(end + 1));
    }
    file_.reopen();
    bool is_new = false;
    file_.prepare(0, is_new); // whoever asked for it may want to see the file
}

COHORT_DECL void LogWriter::write(std::string_view lines) {
    std::size_t done = 0;
    std::error_code error;
    while (!ended_ && done != lines.size()) {
        bool is_new = false;
        error = file_.prepare(lines.size() - done, is_new);
        if (const auto trouble = file_.take_trouble())
            log_line(LogLevel::warning, "the log " + file_.path() + ": it cannot be opened anew, or rotated: " +
                                            trouble.message() + "; the file that is open is written to");
        // A line that was begun in another file stands whole in this one.
        if (is_new && done != 0) done = lines.rfind('\n', done - 1) + 1;
        if (!error) done += file_.write(lines.substr(done), error);
        if (error && !wait_out(error)) return give_up(lines.substr(done), error);
    }
    failing_ = false;
    if (compresses_ && file_.has_rotated()) compressor_.begin();
}

/// The log goes on without it: what the report says of lines and requests stands there, too.
COHORT_DECL void LogWriter::write_report(std::string_view name, std::string_view text) {
    if (const auto error = crashes_.write(std::string(name), text))
        log_line(LogLevel::error, std::string(name) + ": no crash report was written: " + error.message());
}

COHORT_DECL bool LogWriter::is_master_gone() const noexcept {
    pollfd end{socket_, 0, 0};
    return ::poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0;
}

/// Nothing more is taken meanwhile: the master keeps what it has room for and counts the rest. False: there is no
/// master any more, and nobody will make room.
COHORT_DECL bool LogWriter::wait_out(std::error_code error) {
    const std::string name = file_.path().empty() ? "standard error" : file_.path();
    if (!std::exchange(failing_, true))
        log_line(LogLevel::warning, "the log " + name + ": " + error.message() + "; trying again");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (!is_master_gone()) return true;
    return error != std::errc::broken_pipe && --attempts_ > 0;
}

COHORT_DECL void LogWriter::give_up(std::string_view lines, std::error_code error) {
    auto lost = std::ranges::count(lines, '\n');
    while (::recv(socket_, buffer_.data(), 0, MSG_DONTWAIT) >= 0 && !ended_) lost += std::ranges::count(look(), '\n');
    log_line(LogLevel::error,
             "the log " + file_.path() + ": " + std::to_string(lost) + " lines were lost: " + error.message());
}

COHORT_DECL void LogWriter::compress() {
    const int status = compressor_.look();
    if (status == 0 || std::exchange(compressing_failed_, true)) return;
    log_line(LogLevel::warning, "the log " + file_.path() + ": gzip has failed; former files stay as they are");
}

} // namespace cohort::detail

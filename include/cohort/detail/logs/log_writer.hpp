// SPDX-License-Identifier: MIT
// LogWriter: what the process that writes a log does (layer 2).
#pragma once

#include <cohort/detail/logs/crash_files.hpp>
#include <cohort/detail/logs/log_compressor.hpp>
#include <cohort/detail/logs/log_file.hpp>
#include <cohort/log_options.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <vector>

namespace cohort::detail {

/// The first byte of what it is sent.
enum class LogPacket : char {
    lines = 'L',  // whole lines follow
    reopen = 'R', // the file is to be opened anew
    report = 'C', // of a crash: the name of its file, a newline, its text
};

/// The disk may keep this process waiting, and nobody else. A packet is taken from the socket when it was carried out:
/// what this process leaves there when it is killed is the next one's.
class LogWriter {
public:
    static constexpr std::size_t largest_packet = std::size_t{256} << 10;

    /// `socket`: SOCK_SEQPACKET. It ends with the master. `lost_at_end`: how many lines that had no room for, by then.
    LogWriter(int socket, const LogOptions& options, const std::atomic<std::uint64_t>& lost_at_end);

    /// Until all is written that came before the end of the socket.
    void run();

private:
    std::string_view look();
    void carry_out(std::string_view packet);
    void write(std::string_view lines);
    void write_report(std::string_view name, std::string_view text);
    bool wait_out(std::error_code error);
    void give_up(std::string_view lines, std::error_code error);
    void compress();
    void tell_lost_at_end();
    bool is_master_gone() const noexcept;

    int socket_;
    const std::atomic<std::uint64_t>& lost_at_end_;
    LogFormat format_;
    bool compresses_;
    LogFile file_;
    LogCompressor compressor_;
    CrashFiles crashes_;
    std::vector<char> buffer_;
    bool failing_ = false;
    bool compressing_failed_ = false;
    bool ended_ = false;
    int attempts_ = 50; // when the master has gone: five seconds
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/log_writer.ipp>
#endif

// SPDX-License-Identifier: MIT
// CapturedStream: what a worker writes to its standard output, or error, read from the other end of a pipe (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/logs/line_splitter.hpp>
#include <cohort/detail/logs/log_source.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <memory>

namespace cohort::detail {

/// To the end of the pipe: processes that the worker has started may hold it for longer than the worker lives.
class CapturedStream : public std::enable_shared_from_this<CapturedStream> {
public:
    using Time = std::chrono::system_clock::time_point;

    /// A line takes no more memory than this; what is longer becomes several.
    static constexpr std::size_t longest_line = std::size_t{8} << 10;

    class Owner {
    public:
        /// Whether some lines more are wanted now. False: until resume().
        virtual bool may_read() = 0;
        virtual void take(const LogSource& source, Time time, const Line& line) = 0;
        /// Called after the lines of each read.
        virtual void lines_taken() = 0;

    protected:
        ~Owner() = default;
    };

    CapturedStream(const asio::any_io_executor& executor, UniqueFd pipe, const LogSource& source, Owner& owner)
        : owner_(owner), source_(source), pipe_(executor, std::move(pipe)) {}
    CapturedStream(const CapturedStream&) = delete;
    CapturedStream& operator=(const CapturedStream&) = delete;

    void resume() {
        resting_ = false;
        if (pipe_.is_open() && !watched_) watch();
    }
    /// Nothing is waited for until resume().
    void rest() {
        resting_ = true;
        if (watched_) pipe_.cancel();
    }
    /// Reads what is there, so many bytes at most.
    void read(std::size_t most);
    bool is_resting() const noexcept { return resting_; }
    bool is_open() const noexcept { return pipe_.is_open(); }
    WorkerId worker() const noexcept { return source_.worker; }
    /// Its worker has ended.
    bool is_left() const noexcept { return left_; }
    void leave() noexcept { left_ = true; }
    void close();

private:
    void watch();
    void go_on();
    std::size_t read_piece();
    void give_lines(Time time);

    Owner& owner_;
    LogSource source_;
    AsyncFd pipe_;
    LineSplitter splitter_{longest_line};
    bool watched_ = false;
    bool held_ = false;
    bool resting_ = false;
    bool left_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/captured_stream.ipp>
#endif

// SPDX-License-Identifier: MIT
// WriterProcess: the process that writes the log, as its master sees it (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/logs/log_writer.hpp>
#include <cohort/detail/system/fork.hpp>
#include <cohort/log_options.hpp>

#include <asio/any_io_executor.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace cohort::detail {

/// One that a process sees, too, which is forked while it is Lent, and no other (madvise(2), MADV_DONTFORK): workers
/// may not write to it.
class SharedNumber {
public:
    class Lent {
    public:
        explicit Lent(SharedNumber& number) noexcept : number_(number) { number_.lend(true); }
        Lent(const Lent&) = delete;
        Lent& operator=(const Lent&) = delete;
        ~Lent() { number_.lend(false); }

    private:
        SharedNumber& number_;
    };

    /// Throws ENOMEM.
    SharedNumber();
    SharedNumber(const SharedNumber&) = delete;
    SharedNumber& operator=(const SharedNumber&) = delete;
    ~SharedNumber();

    std::atomic<std::uint64_t>& value() noexcept { return *value_; }

private:
    void lend(bool is_lent) noexcept;

    pid_t process_;    // another one that was forked has other memory there
    std::size_t size_; // a page
    std::atomic<std::uint64_t>* value_;
};

/// It outlives the signals that stop a service, and its master, until all is written. One that has ended otherwise gets
/// a successor, which goes on with what is in the socket.
class WriterProcess : public std::enable_shared_from_this<WriterProcess> {
public:
    using Deadline = std::chrono::steady_clock::time_point;

    class Owner {
    public:
        /// There is room again after send() has found none.
        virtual void on_room() = 0;
        virtual void on_writer_end(const ExitStatus& status) = 0;

    protected:
        ~Owner() = default;
    };

    /// Throws what the socket and fork_process() say.
    static std::shared_ptr<WriterProcess> start(const asio::any_io_executor& executor, const LogOptions& options,
                                                Owner& owner);
    WriterProcess(const asio::any_io_executor& executor, const LogOptions& options, Owner& owner, UniqueFd socket,
                  UniqueFd its_end);
    WriterProcess(const WriterProcess&) = delete;
    WriterProcess& operator=(const WriterProcess&) = delete;

    /// How many bytes of lines one packet should have.
    std::size_t packet_size() const noexcept { return packet_size_; }
    /// False: there is no room now.
    bool send(LogPacket kind, std::string_view lines);
    /// Waits until there is room.
    bool wait_for_room(Deadline deadline) noexcept;
    bool is_it(pid_t pid) const noexcept { return pid == pid_; }
    /// It runs, or would if it had a CPU: it waits neither for the disk nor for lines (proc(5)).
    bool is_runnable() const;
    /// Whether a successor is launched when it has ended; until then it keeps the event loop busy.
    void watch();
    void rest();
    /// For when the event loop does not run any more: one that has ended gets its successor.
    void revive() noexcept;
    /// Waits until all that was sent is written, and for the end of the process. With what is left then it goes on, and
    /// says how many lines were `lost`. False: there is none.
    bool finish(Deadline deadline, std::uint64_t lost) noexcept;

private:
    void launch();
    void launch_again();
    void end();
    void await_room(int error);
    void tell_of_room();
    bool is_drained() const noexcept;

    asio::any_io_executor executor_;
    LogOptions options_;
    Owner* owner_; // null: finished
    AsyncFd socket_;
    UniqueFd its_end_; // a copy, so that what is in the socket outlives a writer
    SharedNumber lost_at_end_;
    std::optional<AsyncFd> pidfd_;
    pid_t pid_ = 0;
    std::chrono::steady_clock::time_point born_{};
    Timer again_;
    Timer retry_;
    std::size_t packet_size_;
    unsigned short_lives_ = 0; // in a row
    bool waits_ = false;
    bool watched_ = false;
    bool armed_ = false; // a wait for its end is under way
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/writer_process.ipp>
#endif

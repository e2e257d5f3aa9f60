// SPDX-License-Identifier: MIT
// FrameWriter: the writing half of a FrameStream: when frames go to the kernel, and who waits for that (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/channel/frame_queue.hpp>
#include <cohort/detail/channel/stream_limits.hpp>
#include <cohort/task.hpp>
#include <cohort/timeout.hpp>

#include <asio/any_io_executor.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace cohort::detail {

class Transport;

/// The first frame of a turn of the event loop is written at once, later ones of the same turn together at its end. Its
/// own pending writes share its ownership.
class FrameWriter : public std::enable_shared_from_this<FrameWriter> {
public:
    FrameWriter(const FrameWriter&) = delete;
    FrameWriter& operator=(const FrameWriter&) = delete;

    /// Queues a frame whose payload `fill(Buffer&, std::vector<int>&)` appends, and the descriptors that are to travel
    /// with it; they are copied at once. Returns its size. Throws what fill throws, EMFILE, Errc::closed after close(),
    /// and EPIPE or ECONNRESET when the other side is gone; then nothing was queued.
    template <class Fill>
    QueuedFrame push(FrameKind kind, std::uint64_t correlation, Fill&& fill);
    /// A frame without payload. Of no consequence when nothing can be sent any more.
    void push(FrameKind kind, std::uint64_t correlation) noexcept;

    /// False after finish(), close(), abort(), and when the other side is known to be gone.
    bool can_send() const noexcept { return !error_; }
    std::error_code send_error() const noexcept { return error_; }
    /// Bytes that the kernel has not taken yet.
    std::size_t queued() const noexcept { return queue_.size(); }
    /// Waits while more than the high-water mark is queued. Throws why nothing can be sent any more, if that is so.
    Task<> room() { return room(shared_from_this()); }
    /// The same while anything is queued.
    Task<> until_empty() { return until_empty(shared_from_this()); }
    bool has_room() const noexcept { return queue_.size() <= limits_.high_water || error_; }
    /// At most so many bytes of what is queued are answers.
    std::size_t unread_answers() const noexcept { return unread(answers_); }
    /// Nobody is interested any more in what the frame was for. It is sent all the same.
    void give_up(QueuedFrame frame) noexcept { add(given_up_, frame); }
    /// At most so many bytes of what is queued were given up.
    std::size_t given_up() const noexcept { return unread(given_up_); }
    /// Waits until the kernel has taken what was queued, but for the high-water mark, nothing can be sent, or
    /// stop_waiting(). Look again then.
    Task<> answers_read() { return answers_read(shared_from_this()); }
    /// Waits until the kernel has everything queued.
    Task<> flush() { return flush(shared_from_this()); }
    /// The same, blocking the whole process, for at most `timeout`: for a process about to exit.
    void flush_now(Timeout timeout) noexcept;
    /// No more frames are sent; those queued still go out. The other side sees the end behind them.
    void finish();

    bool is_open() const noexcept;
    int native_handle() const noexcept;
    /// The other side has not only ended what it sends: it is gone altogether.
    bool is_cut_off() const noexcept;
    const StreamLimits& limits() const noexcept { return limits_; }
    asio::any_io_executor executor() noexcept;

protected:
    FrameWriter(const asio::any_io_executor& executor, std::shared_ptr<Transport> transport, StreamLimits limits);
    ~FrameWriter();

    Transport& transport() noexcept { return *transport_; }
    void add(QueuedBytes& frames, QueuedFrame frame) const noexcept { frames.add(queue_, frame); }
    std::size_t unread(const QueuedBytes& frames) const noexcept { return frames.count(queue_); }
    /// Gives back the memory of a queue that is empty.
    void shrink_queue(std::size_t keep) noexcept { queue_.shrink(keep); }
    void stop_waiting() { room_.notify_all(); }
    /// The event loop has come round: the next frame goes out at once again.
    void begin_turn() noexcept { wrote_ = false; }
    /// Spinning delays the end of the turn, when the rest would be written.
    void flush_before_spinning();
    bool nothing_queued() const noexcept { return queue_.empty(); }
    /// The socket is closed after the last frame.
    void close_when_written() noexcept { closing_ = true; }
    /// Nothing can be sent any more, for this reason; what is queued is dropped.
    void fail(std::error_code error);

private:
    static constexpr std::size_t most_written = std::size_t{1} << 20; // before the event loop goes on

    // Coroutines start only when awaited; these must keep the stream alive before that, too.
    static Task<> room(std::shared_ptr<FrameWriter> self);
    static Task<> until_empty(std::shared_ptr<FrameWriter> self);
    static Task<> answers_read(std::shared_ptr<FrameWriter> self);
    COHORT_LAZY static Task<> flush(std::shared_ptr<FrameWriter> self);
    void flush_later();
    void end_turn();
    void write_some();
    ssize_t write_front();
    void write_when_possible();
    void write_later();
    void retry_soon();
    void write_again();

    std::shared_ptr<Transport> transport_;
    Notifier room_;
    StreamLimits limits_;
    FrameQueue queue_;
    std::size_t write_size_; // Transport::write_size
    QueuedBytes answers_;
    QueuedBytes given_up_;
    std::optional<Timer> retry_;
    std::error_code error_; // why nothing can be sent any more
    bool waiting_ = false;  // for the kernel to take more
    bool wrote_ = false;    // a frame went out at once in what may still be this turn
    bool flushing_ = false; // what followed it goes out at the end of this turn
    bool finishing_ = false;
    bool closing_ = false;
};

/// inline, though a template, so that g++ -O2 makes it a part of the send() that calls it.
template <class Fill>
inline QueuedFrame FrameWriter::push(FrameKind kind, std::uint64_t correlation, Fill&& fill) {
    if (error_) throw std::system_error(error_);
    const std::uint64_t before = queue_.end();
    queue_.append(kind, correlation, std::forward<Fill>(fill));
    const QueuedFrame frame{queue_.end(), static_cast<std::size_t>(queue_.end() - before)};
    if (is_answer(kind)) add(answers_, frame);
    const bool much = queue_.size() >= write_size_;
    if (waiting_ || (flushing_ && !much)) return frame;
    if (wrote_ && !much) {
        flush_later();
    } else {
        wrote_ = true;
        write_some();
    }
    return frame;
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/frame_writer.ipp>
#endif

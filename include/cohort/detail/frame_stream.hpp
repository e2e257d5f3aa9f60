// SPDX-License-Identifier: MIT
// FrameStream: frames over a transport, coalesced both ways, without knowing what is in them (layer 3).
#pragma once

#include <cohort/detail/frame.hpp>
#include <cohort/detail/notifier.hpp>
#include <cohort/detail/transport.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>

namespace cohort::detail {

/// What a channel may hold and accept.
struct StreamLimits {
    std::size_t max_length = std::size_t{16} << 20;  ///< bytes of one message, both ways
    std::size_t high_water = std::size_t{128} << 10; ///< bytes queued for writing beyond which senders wait
    /// Bytes of messages that nobody receives, beyond which nothing is read although a call waits for its reply.
    std::size_t unreceived = std::size_t{1} << 20;
    /// SharedMemory: bytes of the ring for each direction, a power of two.
    std::size_t ring_size = std::size_t{256} << 10;
    /// SharedMemory: how long a receiver keeps looking, with the whole thread, before it sleeps. It saves the way
    /// through the kernel, and costs a processor.
    std::chrono::microseconds spin{0};
};

/// Writing: the first frame of a turn of the event loop goes to the kernel at once, what follows in the same turn goes
/// together at its end. Reading happens only when somebody asks, so a slow reader is the sender's backpressure.
/// Shared by its channel and by its own writes under way.
class FrameStream : public std::enable_shared_from_this<FrameStream> {
public:
    FrameStream(const asio::any_io_executor& executor, std::unique_ptr<Transport> transport, StreamLimits limits)
        : transport_(std::move(transport)),
          room_(executor),
          arrival_(executor),
          reader_(limits.max_length),
          limits_(limits) {}
    virtual ~FrameStream() = default;

    /// Queues a frame whose payload `fill(Buffer&, std::vector<int>&)` appends, and the descriptors that are to travel
    /// with it; they are copied at once. Throws what fill throws, EMFILE, Errc::closed after close(), and EPIPE or
    /// ECONNRESET when the other side is gone; then nothing was queued.
    template <class Fill>
    void push(FrameKind kind, std::uint64_t correlation, Fill&& fill);
    /// A frame without payload. Of no consequence when nothing can be sent any more.
    void push(FrameKind kind, std::uint64_t correlation) noexcept;

    /// False after finish(), close(), abort(), and when the other side is known to be gone.
    bool can_send() const noexcept { return !error_; }
    std::error_code send_error() const noexcept { return error_; }
    /// Waits while more than the high-water mark is queued. Throws why nothing can be sent any more, if that is so.
    Task<> room() { return room(shared_from_this()); }
    bool has_room() const noexcept { return out_.size() <= limits_.high_water || error_; }
    /// Waits until everything queued is the kernel's.
    Task<> flush() { return flush(shared_from_this()); }
    /// The same, holding the whole process up, for at most `timeout`: for the way out of a process.
    void flush_now(std::chrono::milliseconds timeout) noexcept;

    /// The first frame received and not yet consumed; it is valid until the next call. Throws on bytes that no peer
    /// sends; the stream is broken then.
    std::optional<Frame> front();
    /// The descriptors that came with a frame, until it is consumed. Throws Errc::bad_frame when their number is wrong.
    Passed& passed(const Frame& frame) { return passed(frame, 0); }
    void consume(const Frame& frame) noexcept;
    /// Waits for more bytes. False: the other side has ended. Several may wait. Cancelling loses nothing.
    Task<bool> fill();
    /// Takes in whatever the kernel has now. For a peer that is dead.
    void drain();
    bool ended() const noexcept { return ended_; }

    /// No more frames are sent; those queued still go out. The other side sees the end behind them.
    void finish();
    /// finish(), and nothing more is received; the socket goes when the last frame is the kernel's.
    void close();
    /// At once: what is queued is dropped, waits end.
    void abort();
    bool is_open() const noexcept { return transport_->socket().is_open(); }
    int native_handle() const noexcept { return transport_->socket().get(); }
    /// The other side has not only ended what it sends: it is gone altogether.
    bool is_cut_off() const noexcept { return transport_->is_cut_off(); }
    const StreamLimits& limits() const noexcept { return limits_; }
    asio::any_io_executor executor() noexcept { return transport_->socket().get_executor(); }

protected:
    virtual void on_arrival() {}
    /// Nothing more will come, for this reason.
    virtual void on_end(std::error_code) {}
    /// Whether bytes are to be read although nobody waits in fill().
    virtual bool wants_more() const noexcept { return false; }
    /// Reads in the background, for as long as wants_more().
    void read_ahead();
    std::span<const std::byte> received() const noexcept { return in_.bytes(); }
    /// The descriptors of a frame before which `sets` others with descriptors stand.
    Passed& passed(const Frame& frame, std::size_t sets);

private:
    static constexpr std::size_t read_size = std::size_t{64} << 10;
    static constexpr std::size_t max_passed_ahead = 1024; // sets of descriptors whose frames have not come

    /// Descriptors that leave with the byte at this position of the stream.
    struct Attached {
        std::uint64_t position;
        std::vector<UniqueFd> descriptors;
    };

    // The waits begin when they are awaited; until then, too, they keep the stream.
    static Task<> room(std::shared_ptr<FrameStream> self);
    static Task<> flush(std::shared_ptr<FrameStream> self);
    void attach(std::size_t size_before);
    void flush_later();
    void flush_before_spinning();
    void write_some();
    ssize_t write_front() noexcept;
    void write_when_possible();
    void retry_soon();
    void written(std::size_t count);
    void fail(std::error_code error);
    bool read_some();
    void stopped_reading();
    void look_ahead();

    std::unique_ptr<Transport> transport_;
    Notifier room_;
    Notifier arrival_;
    FrameReader reader_;
    StreamLimits limits_;
    Buffer out_;
    Buffer in_;
    std::vector<int> passing_; // by the frame that is being made
    std::deque<Attached> attached_;
    std::deque<Passed> passed_;
    std::unique_ptr<asio::steady_timer> retry_;
    std::uint64_t taken_by_kernel_ = 0;
    std::error_code error_; // why nothing can be sent any more
    bool waiting_ = false;  // for the kernel to take more
    bool wrote_ = false;    // a frame went out at once in what may still be this turn
    bool flushing_ = false; // what followed it goes out at the end of this turn
    bool reading_ = false;  // somebody waits for the socket to be readable
    bool emptied_ = false;  // the last read left nothing in the socket
    bool finishing_ = false;
    bool closing_ = false;
    bool ended_ = false; // nothing more can be received
};

// Writing

template <class Fill>
void FrameStream::push(FrameKind kind, std::uint64_t correlation, Fill&& fill) {
    if (error_) throw std::system_error(error_);
    const std::size_t size_before = out_.size();
    FrameHeader header{.kind = kind, .correlation = correlation};
    passing_.clear();
    append_frame(out_, header, limits_.max_length, [&](Buffer& out) {
        fill(out, passing_);
        header.descriptors = static_cast<std::uint16_t>(passing_.size());
    });
    if (!passing_.empty()) attach(size_before);
    if (waiting_) return;
    const bool much = out_.size() >= transport_->write_size();
    if (flushing_ && !much) return;
    if (wrote_ && !much) return flush_later();
    wrote_ = true;
    write_some();
}

inline void FrameStream::push(FrameKind kind, std::uint64_t correlation) noexcept {
    try {
        push(kind, correlation, [](Buffer&, std::vector<int>&) {});
    } catch (const std::exception&) {
        // The other side learns of it by the end of the stream.
    }
}

/// The sender may close its own copies as soon as push() has returned.
inline void FrameStream::attach(std::size_t size_before) {
    try {
        Attached attached{taken_by_kernel_ + size_before, {}};
        attached.descriptors.reserve(passing_.size());
        for (const int fd : passing_) attached.descriptors.push_back(duplicate(fd));
        attached_.push_back(std::move(attached));
    } catch (...) {
        out_.truncate(size_before);
        throw;
    }
}

inline void FrameStream::flush_later() {
    flushing_ = true;
    asio::post(executor(), [self = shared_from_this()] {
        self->flushing_ = self->wrote_ = false;
        if (!self->waiting_ && !self->out_.empty()) self->write_some();
    });
}

inline void FrameStream::write_some() {
    while (!out_.empty() && is_open()) {
        const ssize_t count = write_front();
        if (count >= 0) {
            written(static_cast<std::size_t>(count));
        } else if (would_block(errno)) {
            return write_when_possible();
        } else if (is_kernel_limit(errno)) {
            return retry_soon();
        } else if (errno != EINTR) {
            return fail(last_error());
        }
    }
    out_.shrink(2 * limits_.high_water);
    if (finishing_ && is_open()) transport_->end_writing();
    if (closing_) transport_->socket().close();
}

/// One call carries the descriptors of one frame, whose header is its first byte: so each set arrives apart, and the
/// kernel's bound for one call holds.
inline ssize_t FrameStream::write_front() noexcept {
    if (attached_.empty()) return transport_->write(out_.bytes(), {});
    const Attached& next = attached_.front();
    if (next.position != taken_by_kernel_)
        return transport_->write(out_.bytes().first(static_cast<std::size_t>(next.position - taken_by_kernel_)), {});
    std::array<int, max_descriptors> numbers;
    const std::size_t count = next.descriptors.size();
    for (std::size_t i = 0; i < count; ++i) numbers[i] = next.descriptors[i].get();
    const std::size_t size =
        attached_.size() > 1 ? static_cast<std::size_t>(attached_[1].position - next.position) : out_.size();
    const ssize_t sent = transport_->write(out_.bytes().first(size), std::span(numbers).first(count));
    if (sent > 0) attached_.pop_front();
    return sent;
}

inline void FrameStream::written(std::size_t count) {
    const bool was_full = !has_room();
    taken_by_kernel_ += count;
    out_.consume(count);
    if ((was_full && has_room()) || out_.empty()) room_.notify_all();
}

inline void FrameStream::write_when_possible() {
    waiting_ = true;
    transport_->wait_writable([self = shared_from_this()](std::error_code) {
        self->waiting_ = false;
        // Also after a cancellation: that was meant for the readers.
        self->write_some();
    });
}

inline void FrameStream::retry_soon() {
    waiting_ = true;
    if (!retry_) retry_ = std::make_unique<asio::steady_timer>(executor());
    retry_->expires_after(std::chrono::milliseconds(5));
    retry_->async_wait([self = shared_from_this()](std::error_code) {
        self->waiting_ = false;
        self->write_some();
    });
}

inline void FrameStream::fail(std::error_code error) {
    error_ = error;
    out_.clear();
    attached_.clear();
    room_.notify_all();
}

inline Task<> FrameStream::room(std::shared_ptr<FrameStream> self) {
    while (!self->has_room()) co_await self->room_.wait();
    if (self->error_) throw std::system_error(self->error_);
}

inline Task<> FrameStream::flush(std::shared_ptr<FrameStream> self) {
    while (!self->out_.empty()) {
        if (!self->waiting_) self->write_some();
        if (!self->out_.empty()) co_await self->room_.wait();
    }
    if (self->error_ && self->error_ != Errc::closed) throw std::system_error(self->error_);
}

inline void FrameStream::flush_now(std::chrono::milliseconds timeout) noexcept {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!out_.empty() && is_open()) {
        const ssize_t count = write_front();
        if (count >= 0) {
            taken_by_kernel_ += static_cast<std::uint64_t>(count);
            out_.consume(static_cast<std::size_t>(count));
        } else if (would_block(errno) || is_kernel_limit(errno)) {
            auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
            if (!would_block(errno)) left = std::min(left, std::chrono::milliseconds(5));
            if (left.count() <= 0 || !transport_->wait_writable_now(left)) return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

// Reading

inline std::optional<Frame> FrameStream::front() {
    std::error_code error;
    auto frame = reader_.next(in_.bytes(), error);
    if (error) throw std::system_error(error);
    return frame;
}

inline Passed& FrameStream::passed(const Frame& frame, std::size_t sets) {
    if (passed_.size() <= sets) transport_->collect(passed_);
    if (passed_.size() <= sets) throw std::system_error(make_error_code(Errc::bad_frame));
    Passed& set = passed_[sets];
    if (!set.lost && set.descriptors.size() != frame.header.descriptors)
        throw std::system_error(make_error_code(Errc::bad_frame));
    return set;
}

inline void FrameStream::consume(const Frame& frame) noexcept {
    if (frame.header.descriptors != 0 && !passed_.empty()) passed_.pop_front();
    in_.consume(sizeof(FrameHeader) + frame.header.length);
    in_.shrink(4 * read_size);
}

/// Whether there was something; the end of the other side, also when it went with our bytes unread, is remembered.
inline bool FrameStream::read_some() {
    const std::size_t wanted = std::max(read_size, reader_.missing());
    std::byte* const space = in_.prepare(wanted);
    const std::size_t room = in_.room();
    ssize_t count = 0;
    do {
        count = transport_->read({space, room}, passed_);
    } while (count < 0 && errno == EINTR);
    emptied_ = count >= 0 && static_cast<std::size_t>(count) < room;
    if (count > 0) {
        in_.commit(static_cast<std::size_t>(count));
        if (passed_.size() > max_passed_ahead) throw std::system_error(make_error_code(Errc::bad_frame));
        return true;
    }
    if (count == 0 || errno == ECONNRESET)
        ended_ = true;
    else if (!would_block(errno))
        throw_last_error("recv");
    return false;
}

/// One of those who wait watches the socket; the others wait for what it finds.
inline Task<bool> FrameStream::fill() {
    const auto self = shared_from_this();
    while (is_open() && !ended_) {
        if (reading_) {
            co_await arrival_.wait();
            co_return !ended_;
        }
        // A read that found little has found all: asking again at once would be a system call for nothing.
        if (!std::exchange(emptied_, false) && read_some()) {
            on_arrival();
            read_ahead();
            co_return true;
        }
        if (ended_) break;
        if (limits_.spin.count() != 0) flush_before_spinning();
        if (!transport_->may_wait_to_read()) continue;
        std::error_code error;
        reading_ = true;
        try {
            co_await transport_->socket().readable(error);
        } catch (...) {
            stopped_reading();
            throw;
        }
        stopped_reading();
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        // Without that, it was the transport that ended the wait, to have the reader look again.
        if (error && error != asio::error::operation_aborted && !ended_) throw std::system_error(error);
        wrote_ = false; // a new turn has begun
    }
    on_end(std::make_error_code(std::errc::connection_reset));
    co_return false;
}

/// Spinning holds up the turn at whose end the rest would have gone out.
inline void FrameStream::flush_before_spinning() {
    wrote_ = false;
    if (!waiting_) return write_some();
    // What the wait is for may be here already; its handler would come after the spinning.
    while (!out_.empty()) {
        const ssize_t count = write_front();
        if (count < 0) return;
        written(static_cast<std::size_t>(count));
    }
}

/// Somebody else goes on: another who waits, or the background.
inline void FrameStream::stopped_reading() {
    reading_ = false;
    transport_->waited_to_read();
    arrival_.notify_all();
    read_ahead();
}

inline void FrameStream::read_ahead() {
    if (reading_ || ended_ || !is_open() || !wants_more()) return;
    reading_ = true;
    const auto look = [self = shared_from_this()](std::error_code) {
        self->reading_ = false;
        self->transport_->waited_to_read();
        self->look_ahead();
    };
    if (transport_->may_wait_to_read())
        transport_->socket().async_readable(look);
    else
        asio::post(executor(), [look] { look({}); });
}

inline void FrameStream::look_ahead() {
    if (!is_open() || ended_) return;
    try {
        if (read_some()) on_arrival();
    } catch (const std::system_error& error) {
        on_end(error.code());
    }
    if (ended_) on_end(std::make_error_code(std::errc::connection_reset));
    arrival_.notify_all();
    read_ahead();
}

inline void FrameStream::drain() {
    while (is_open() && !ended_ && read_some()) {
    }
    on_arrival();
    ended_ = true; // also when somebody the peer had started still holds its end open
    on_end(std::make_error_code(std::errc::connection_reset));
    if (is_open()) transport_->socket().cancel();
    arrival_.notify_all();
}

// Ending

inline void FrameStream::finish() {
    if (error_) return;
    error_ = Errc::closed;
    finishing_ = true;
    if (!waiting_) write_some();
    room_.notify_all();
}

inline void FrameStream::close() {
    closing_ = ended_ = true;
    in_.clear();
    passed_.clear();
    on_end(make_error_code(Errc::closed));
    finish();
    if (out_.empty())
        transport_->socket().close();
    else if (is_open())
        transport_->socket().cancel();
    arrival_.notify_all();
}

inline void FrameStream::abort() {
    ended_ = true;
    in_.clear();
    passed_.clear();
    on_end(make_error_code(Errc::closed));
    fail(Errc::closed);
    transport_->socket().close();
    arrival_.notify_all();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// FrameStream: frames over a transport, coalesced both ways, without knowing what is in them (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/channel/frame_writer.hpp>
#include <cohort/detail/channel/passed.hpp>
#include <cohort/detail/channel/stream_limits.hpp>

#include <list>
#include <memory>
#include <optional>
#include <span>

namespace cohort::detail {

/// A FrameWriter that also reads, and closes both directions. Reads only on request, so a slow reader exerts
/// backpressure on the sender.
class FrameStream : public FrameWriter {
public:
    /// `bears_descriptors`: whether messages with descriptors come.
    FrameStream(const asio::any_io_executor& executor, std::shared_ptr<Transport> transport, StreamLimits limits,
                bool bears_descriptors = true)
        : FrameWriter(executor, std::move(transport), limits),
          arrival_(executor),
          reader_(limits.max_length),
          most_held_(bears_descriptors ? 2 * max_descriptors : 0) {}
    virtual ~FrameStream() = default;

    std::shared_ptr<FrameStream> shared_from_this() {
        return std::static_pointer_cast<FrameStream>(FrameWriter::shared_from_this());
    }

    /// The first frame received and not yet consumed; it is valid until the next call. Throws on bytes that no peer
    /// sends; the stream is broken then.
    std::optional<Frame> front();
    /// The descriptors that came with a frame, until it is consumed. Throws Errc::bad_frame when their number is wrong.
    Passed& passed(const Frame& frame) { return passed(frame, 0); }
    void consume(const Frame& frame) noexcept;
    /// Waits for more bytes. False: the other side has ended. Several may wait. Cancelling loses nothing.
    Task<bool> fill();
    /// Reads what the kernel has now, and no more, and ends the stream. For a peer whose process has ended.
    void drain();
    bool ended() const noexcept { return ended_; }
    /// Counts a frame that is about to be taken: true when the event loop has to come round first.
    bool turn_is_over() noexcept { return turn_.is_over(); }
    /// The same, when it is known that this will take long.
    bool turn_is_over_before_long_event() noexcept { return turn_.is_over_before_long_event(); }
    Task<> let_others_go_on();

    /// The size of the frame that front() has found to be incomplete, if it is known yet; 0: it is not.
    std::size_t arriving() const noexcept { return reader_.missing() == 0 ? 0 : in_.size() + reader_.missing(); }
    /// Gives back the memory that earlier frames needed, both ways.
    void shrink() {
        in_.fit(kept_memory);
        shrink_queue(kept_memory);
    }

    /// finish(), and nothing more is received; the socket is closed when the kernel has the last frame.
    void close();
    /// Closes at once: queued frames are dropped, waits end.
    void abort();
    /// Nobody will wait in fill() for a while: what is not for those who do so is dealt with all the same.
    virtual void look_out() {}
    bool looks_out() const noexcept { return looks_out_; }

protected:
    virtual void on_arrival() {}
    /// Nothing more will come, for this reason.
    virtual void on_end(std::error_code) {}
    /// Whether bytes are to be read although nobody waits in fill().
    virtual bool wants_more() const noexcept { return false; }
    /// Reads in the background, for as long as wants_more().
    void read_ahead();
    /// The event loop has come round.
    void begin_turn() noexcept {
        FrameWriter::begin_turn();
        turn_.begin();
    }
    std::span<const std::byte> received() const noexcept { return in_.bytes(); }
    /// As many descriptors are held as reading further may bring.
    bool holds_much() const noexcept { return held_ >= max_descriptors; }
    /// The descriptors of a frame that is preceded by `sets` others with descriptors.
    Passed& passed(const Frame& frame, std::size_t sets);

    bool looks_out_ = false;           // see look_out()
    std::error_code unreceived_fault_; // found in the background: of whoever waits in fill() next

private:
    static constexpr std::size_t read_size = std::size_t{64} << 10;
    static constexpr std::size_t most_read = 4 * read_size;   // at once, of a long message
    static constexpr std::size_t kept_memory = 4 * read_size; // that is not needed any more
    static constexpr std::size_t max_passed_ahead = 1024;     // sets of descriptors whose frames have not come

    bool read_some();
    void count_held(std::size_t sets_before);
    void stopped_reading();
    void look_ahead();

    Notifier arrival_;
    TurnBudget turn_;
    FrameReader reader_;
    Buffer in_;
    std::list<Passed> passed_;
    std::size_t most_held_; // descriptors whose messages have not been received
    std::size_t held_ = 0;
    bool reading_ = false; // somebody waits for the socket to be readable
    bool emptied_ = false; // the last read left nothing in the socket
    bool ended_ = false;   // nothing more can be received
};

inline std::optional<Frame> FrameStream::front() {
    std::error_code error;
    auto frame = reader_.next(in_.bytes(), error);
    if (error) throw std::system_error(error);
    return frame;
}

inline void FrameStream::consume(const Frame& frame) noexcept {
    if (frame.header.descriptors != 0 && !passed_.empty()) {
        held_ -= passed_.front().count;
        passed_.pop_front();
    }
    in_.consume(sizeof(FrameHeader) + frame.header.length);
    in_.shrink(kept_memory);
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/frame_stream.ipp>
#endif

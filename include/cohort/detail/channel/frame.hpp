// SPDX-License-Identifier: MIT
// The frames of a channel: a header of 16 bytes, then the message (layer 1).
#pragma once

#include <cohort/detail/serialize/archive.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/error.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

namespace cohort::detail {

static_assert(std::endian::native == std::endian::little, "cohort's frames are little-endian, as is the machine");

enum class FrameKind : std::uint16_t {
    hello = 1,   ///< the first frame of each side: schema hash and type name
    message = 2, ///< a message of the user's type
    acked = 3,   ///< the same; `correlation` comes back in a `taken` when the receiver has taken it
    taken = 4,   ///< no payload
    call = 5,    ///< a message that wants an answer, with the caller's `correlation`
    reply = 6,   ///< a message: the answer to the call of this correlation
    failure = 7, ///< the call gets no reply; says why
    cancel = 8,  ///< the caller no longer wants the reply; no payload
    last = 9,    ///< no more messages or calls will come, only answers; no payload
};

/// Most bytes behind the header of a hello or a failure, whatever the limit for messages.
inline constexpr std::size_t max_hello = 4096;

/// Whether a frame of this kind has a message in it.
constexpr bool bears_message(FrameKind kind) noexcept {
    return kind == FrameKind::message || kind == FrameKind::acked || kind == FrameKind::call ||
           kind == FrameKind::reply;
}

/// Whether the other side has asked for a frame of this kind: how many there are is up to it.
constexpr bool is_answer(FrameKind kind) noexcept {
    return kind == FrameKind::reply || kind == FrameKind::failure || kind == FrameKind::taken;
}

struct FrameHeader {
    std::uint32_t length = 0; ///< bytes behind the header
    FrameKind kind = FrameKind::message;
    std::uint16_t descriptors = 0; ///< how many travel with the frame
    std::uint64_t correlation = 0; ///< which call this belongs to; 0: none
};
static_assert(sizeof(FrameHeader) == 16);

/// Most bytes behind the header of a frame.
constexpr std::size_t most(FrameKind kind, std::size_t max_length) noexcept {
    if (bears_message(kind)) return max_length;
    return kind == FrameKind::hello || kind == FrameKind::failure ? max_hello : 0;
}

/// A whole frame inside a Buffer; valid until the buffer changes.
struct Frame {
    FrameHeader header;
    std::span<const std::byte> payload;
};

/// Finds the frames in a stream of bytes, however it was cut. Lengths are checked before anything waits or allocates
/// for them.
class FrameReader {
public:
    explicit FrameReader(std::size_t max_length) noexcept : max_length_(max_length) {}

    /// The first frame of `bytes` if it is complete; an error is final.
    std::optional<Frame> next(std::span<const std::byte> bytes, std::error_code& error) noexcept {
        missing_ = 0;
        if (bytes.size() < sizeof(FrameHeader)) return std::nullopt;
        FrameHeader header;
        std::memcpy(&header, bytes.data(), sizeof header);
        error = judge(header);
        if (error) return std::nullopt;
        const std::size_t whole = sizeof header + header.length;
        if (bytes.size() < whole) {
            missing_ = whole - bytes.size();
            return std::nullopt;
        }
        return Frame{header, bytes.subspan(sizeof header, header.length)};
    }

    /// After a next() that found no whole frame: how many more bytes it is known to need.
    std::size_t missing() const noexcept { return missing_; }

private:
    std::error_code judge(const FrameHeader& header) const noexcept {
        if (header.kind < FrameKind::hello || header.kind > FrameKind::last) return Errc::bad_frame;
        if (header.descriptors > (bears_message(header.kind) ? max_descriptors : 0)) return Errc::bad_frame;
        if (header.length > most(header.kind, max_length_)) return Errc::message_too_large;
        return {};
    }

    std::size_t max_length_;
    std::size_t missing_ = 0;
};

/// Appends a frame whose payload `fill(Buffer&)` writes, which may still change the header; its length is then set.
/// When it throws, `out` is as before.
template <class Fill>
void append_frame(Buffer& out, FrameHeader& header, std::size_t max_length, Fill&& fill) {
    const std::size_t start = out.size();
    out.prepare(sizeof header);
    out.commit(sizeof header);
    try {
        fill(out);
        const std::size_t length = out.size() - start - sizeof header;
        if (length > most(header.kind, max_length)) throw std::system_error(make_error_code(Errc::message_too_large));
        header.length = static_cast<std::uint32_t>(length);
        std::memcpy(out.data() + start, &header, sizeof header);
    } catch (...) {
        out.truncate(start);
        throw;
    }
}

} // namespace cohort::detail

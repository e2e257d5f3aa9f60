// SPDX-License-Identifier: MIT
// The two archives: cursors that write and read the encoding, and keep its limits (layer 1).
#pragma once

#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/error.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace cohort {

/// What one message may cost at most. Both sides keep to it: encode() refuses what decode() would refuse.
struct SerializeLimits {
    /// Bytes of the encoding; and also bytes of memory that its containers and pointers take once decoded.
    std::size_t bytes = std::size_t{16} << 20;
    /// How many containers, optionals, variants, pointers and classes with a serialize function may lie within one
    /// another. Those that hold nothing but plain values and strings do not count.
    unsigned depth = 64;
};

} // namespace cohort

namespace cohort::detail {

/// How many bytes an arithmetic value takes. An x87 long double has 10 that mean something, and padding.
template <class T>
inline constexpr std::size_t scalar_size = sizeof(T);
template <>
inline constexpr std::size_t scalar_size<long double> =
    std::numeric_limits<long double>::digits == 64 ? 10 : sizeof(long double);

template <class T>
void store_little(std::byte* to, const T& value) noexcept {
    std::memcpy(to, &value, scalar_size<T>);
    if constexpr (std::endian::native == std::endian::big) std::reverse(to, to + scalar_size<T>);
}

template <class T>
void load_little(const std::byte* from, T& value) noexcept {
    if constexpr (std::endian::native == std::endian::big) {
        std::array<std::byte, sizeof(T)> bytes;
        std::reverse_copy(from, from + sizeof(T), bytes.begin());
        std::memcpy(&value, bytes.data(), sizeof(T));
    } else {
        std::memcpy(&value, from, scalar_size<T>);
    }
}

/// How many descriptors one message may carry. The kernel allows 253 (SCM_MAX_FD, unix(7)).
inline constexpr std::size_t max_descriptors = 250;

/// What stands before the elements of a container. Of fixed width, so that reading it is one load.
using Length = std::uint32_t;

/// Writes values behind the end of a buffer. Until finish() the buffer is unchanged to its owner: an Encoder that is
/// destroyed before takes back what it wrote. Every failure is a std::system_error.
class Encoder {
public:
    static constexpr bool decoding = false;

    /// `descriptors`: receives those to be sent along; null: none can be sent.
    Encoder(Buffer& out, const SerializeLimits& limits, std::vector<int>* descriptors = nullptr) noexcept
        : out_{out},
          descriptors_{descriptors},
          base_{out.size()},
          budget_{limits.bytes},
          limit_{limits.bytes},
          depth_{limits.depth} {
        at_ = end_ = out.data() + base_;
        end_ += out.room();
    }
    Encoder(const Encoder&) = delete;
    Encoder& operator=(const Encoder&) = delete;
    ~Encoder() {
        if (!finished_) out_.truncate(base_);
    }

    /// For serialize functions: writes the members in this order. Gives true, as a Decoder does that succeeds.
    template <class... M>
    bool operator()(const M&... members);

    /// For serialize functions: this object is not one that can be sent.
    [[noreturn]] void reject() const { fail(Errc::bad_message); }

    /// The next `count` bytes of the encoding, to be written by the caller.
    std::byte* take(std::size_t count) {
        if (static_cast<std::size_t>(end_ - at_) < count) [[unlikely]]
            grow(count);
        std::byte* const taken = at_;
        at_ += count;
        return taken;
    }

    template <class T>
    void put(const T& value) {
        store_little(take(scalar_size<T>), value);
    }

    /// Counts `count` elements that will take `Cost` bytes of memory each where they are decoded.
    template <std::size_t Cost>
    void charge(std::size_t count) {
        if (count > budget_ / Cost) [[unlikely]]
            fail(Errc::message_too_large);
        budget_ -= count * Cost;
    }

    template <std::size_t Cost>
    void put_length(std::size_t count) {
        charge<Cost>(count);
        if (count > std::numeric_limits<Length>::max()) [[unlikely]]
            fail(Errc::message_too_large);
        put(static_cast<Length>(count));
    }

    void enter() {
        if (depth_ == 0) [[unlikely]]
            fail(Errc::nested_too_deep);
        --depth_;
    }

    void leave() noexcept { ++depth_; }

    /// A descriptor that stays its owner's; it must be open until the encoding has been sent.
    void pass_descriptor(int fd) {
        if (descriptors_ == nullptr) fail(Errc::no_descriptors);
        if (descriptors_->size() == max_descriptors) fail(Errc::message_too_large);
        descriptors_->push_back(fd);
    }

    /// Makes what was written part of the buffer.
    void finish() {
        publish();
        if (out_.size() - base_ > limit_) fail(Errc::message_too_large);
        finished_ = true;
    }

private:
    [[noreturn]] static void fail(Errc error) { throw std::system_error(make_error_code(error), "cohort::encode"); }

    void publish() noexcept { out_.commit(static_cast<std::size_t>(at_ - (out_.data() + out_.size()))); }

    [[gnu::noinline]] void grow(std::size_t count) {
        publish();
        if (out_.size() - base_ > limit_ || count > limit_) fail(Errc::message_too_large);
        at_ = out_.prepare(count);
        end_ = at_ + out_.room();
    }

    Buffer& out_;
    std::vector<int>* descriptors_;
    std::byte* at_;
    std::byte* end_;
    std::size_t base_;
    std::size_t budget_;
    std::size_t limit_;
    unsigned depth_;
    bool finished_ = false;
};

/// Reads values from bytes of any origin. The first failure stays: all later reads fail too and change nothing.
class Decoder {
public:
    static constexpr bool decoding = true;

    /// `descriptors`: those received along. One that is taken is replaced by -1 there, and owned by its taker.
    Decoder(std::span<const std::byte> bytes, const SerializeLimits& limits, std::span<int> descriptors = {}) noexcept
        : at_{bytes.data()},
          end_{bytes.data() + bytes.size()},
          descriptors_{descriptors},
          budget_{limits.bytes},
          depth_{limits.depth} {
        if (bytes.size() > limits.bytes) fail(Errc::message_too_large);
    }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    /// For serialize functions: reads the members in this order. False when the bytes are wrong.
    template <class... M>
    bool operator()(M&... members);

    /// For serialize functions: what was read makes no sense. decode() then gives Errc::bad_message.
    bool reject() noexcept { return fail(Errc::bad_message); }

    bool failed() const noexcept { return error_ != Errc{}; }

    /// The outcome, once everything has been read: bytes that are left over are an error as well.
    std::error_code finish() noexcept {
        if (!failed() && (at_ != end_ || !descriptors_.empty())) reject();
        return failed() ? make_error_code(error_) : std::error_code{};
    }

    /// The next `count` bytes, or null when there are fewer.
    const std::byte* take(std::size_t count) noexcept {
        if (static_cast<std::size_t>(end_ - at_) < count) [[unlikely]] {
            reject();
            return nullptr;
        }
        const std::byte* const taken = at_;
        at_ += count;
        return taken;
    }

    template <class T>
    bool get(T& value) noexcept {
        const std::byte* const from = take(scalar_size<T>);
        if (from == nullptr) [[unlikely]]
            return false;
        load_little(from, value);
        return true;
    }

    /// Counts `count` elements that take `Cost` bytes of memory each, before they are allocated.
    template <std::size_t Cost>
    bool charge(std::size_t count) noexcept {
        if (count > budget_ / Cost) [[unlikely]]
            return fail(Errc::message_too_large);
        budget_ -= count * Cost;
        return true;
    }

    /// Reads a length and checks that so many elements, of at least `Least` bytes each, can follow and be paid for.
    template <std::size_t Least, std::size_t Cost>
    bool get_length(std::size_t& count) noexcept {
        Length length = 0;
        if (!get(length)) [[unlikely]]
            return false;
        if constexpr (Least != 0) {
            if (length > static_cast<std::size_t>(end_ - at_) / Least) [[unlikely]]
                return reject();
        }
        count = length;
        return charge<Cost>(count);
    }

    bool enter() noexcept {
        if (depth_ == 0) [[unlikely]]
            return fail(Errc::nested_too_deep);
        --depth_;
        return true;
    }

    bool leave() noexcept {
        ++depth_;
        return true;
    }

    /// The next descriptor, which is the caller's from now on; -1 when there is none.
    int take_descriptor() noexcept {
        if (descriptors_.empty()) {
            reject();
            return -1;
        }
        const int fd = std::exchange(descriptors_.front(), -1);
        descriptors_ = descriptors_.subspan(1);
        return fd;
    }

private:
    bool fail(Errc error) noexcept {
        if (!failed()) error_ = error;
        return false;
    }

    const std::byte* at_;
    const std::byte* end_;
    std::span<int> descriptors_;
    std::size_t budget_;
    unsigned depth_;
    Errc error_{};
};

} // namespace cohort::detail

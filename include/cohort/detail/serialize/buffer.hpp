// SPDX-License-Identifier: MIT
// A growable queue of bytes: written at the back, consumed from the front (layer 1).
#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace cohort::detail {

/// Unlike std::vector it never zero-fills new memory, and consuming from the front moves no bytes.
class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        Buffer taken{std::move(other)};
        swap(taken);
        return *this;
    }
    ~Buffer() = default;

    std::size_t size() const noexcept { return end_ - begin_; }
    bool empty() const noexcept { return begin_ == end_; }
    const std::byte* data() const noexcept { return storage_.get() + begin_; }
    std::byte* data() noexcept { return storage_.get() + begin_; }
    std::span<const std::byte> bytes() const noexcept { return {data(), size()}; }
    std::size_t capacity() const noexcept { return capacity_; }

    /// Room for at least `count` bytes at the back. The pointer holds until the next call that is not const.
    std::byte* prepare(std::size_t count) {
        if (capacity_ - end_ < count) grow(count);
        return storage_.get() + end_;
    }

    /// How many bytes prepare() can give without moving anything.
    std::size_t room() const noexcept { return capacity_ - end_; }

    void commit(std::size_t count) noexcept { end_ += count; }

    void append(const void* bytes, std::size_t count) {
        if (count == 0) return;
        std::memcpy(prepare(count), bytes, count);
        commit(count);
    }

    void consume(std::size_t count) noexcept {
        begin_ += count;
        if (begin_ == end_) begin_ = end_ = 0;
    }

    /// Drops everything behind the first `count` bytes.
    void truncate(std::size_t count) noexcept { end_ = begin_ + count; }

    void clear() noexcept { begin_ = end_ = 0; }

    /// Gives the memory back when it is empty and larger than `keep`.
    void shrink(std::size_t keep) noexcept {
        if (!empty() || capacity_ <= keep) return;
        storage_.reset();
        capacity_ = 0;
    }

    /// Gives memory back when it has more than `keep`, and its bytes need no more than that.
    void fit(std::size_t keep) {
        if (capacity_ <= keep || size() > keep) return;
        Buffer smaller;
        smaller.append(data(), size());
        swap(smaller);
    }

private:
    void swap(Buffer& other) noexcept {
        std::swap(storage_, other.storage_);
        std::swap(capacity_, other.capacity_);
        std::swap(begin_, other.begin_);
        std::swap(end_, other.end_);
    }

    void grow(std::size_t count) {
        const std::size_t used = size();
        if (capacity_ - used >= count && begin_ >= used) {
            std::memmove(storage_.get(), data(), used);
        } else {
            std::size_t wanted = capacity_ < 256 ? 256 : capacity_;
            if (count > std::numeric_limits<std::ptrdiff_t>::max() - used) throw std::bad_alloc{};
            while (wanted - used < count) wanted *= 2;
            std::unique_ptr<std::byte[]> larger(new std::byte[wanted]);
            if (used != 0) std::memcpy(larger.get(), data(), used);
            storage_ = std::move(larger);
            capacity_ = wanted;
        }
        begin_ = 0;
        end_ = used;
    }

    std::unique_ptr<std::byte[]> storage_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

} // namespace cohort::detail

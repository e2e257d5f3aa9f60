// SPDX-License-Identifier: MIT
#include <cohort/detail/channel/ring.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <new>
#include <random>
#include <vector>

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace cohort::detail;

namespace {

/// A ring with both sides in one process.
template <std::size_t Size>
struct Local {
    RingHeader header;
    std::array<std::byte, Size> memory{};
    RingWriter writer{header, memory};
    RingReader reader{header, memory};
};

/// The byte at a place of an endless stream; its period is none that a ring could have.
std::byte byte_at(std::uint64_t place) { return static_cast<std::byte>(place % 251); }

std::vector<std::byte> stretch(std::uint64_t from, std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = byte_at(from + i);
    return bytes;
}

std::vector<std::byte> read_up_to(RingReader& reader, std::size_t size) {
    std::vector<std::byte> bytes(size);
    bytes.resize(reader.read(bytes));
    return bytes;
}

enum Side : std::size_t { reader_side, writer_side };

/// How a side waits for its doorbell: in the kernel, or by looking again and again. The second lets the two sides meet
/// at all points of what they do, and not only where the kernel wakes one.
enum class Waiting { sleep, spin };

/// Header and data in memory that a forked child shares, and a doorbell for each side.
class SharedRing {
public:
    SharedRing(std::size_t size, Waiting waiting)
        : size_(size),
          waiting_(waiting),
          base_(::mmap(nullptr, sizeof(Page) + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        REQUIRE(base_ != MAP_FAILED);
        page_ = ::new (base_) Page;
    }
    SharedRing(const SharedRing&) = delete;
    SharedRing& operator=(const SharedRing&) = delete;
    ~SharedRing() {
        ::munmap(base_, sizeof(Page) + size_);
        for (const int bell : bells_) ::close(bell);
    }

    RingHeader& header() noexcept { return page_->header; }
    std::span<std::byte> data() noexcept { return {static_cast<std::byte*>(base_) + sizeof(Page), size_}; }

    void wake(Side side) {
        const std::uint64_t one = 1;
        if (waiting_ == Waiting::spin)
            page_->rung[side] = 1;
        else
            static_cast<void>(!::write(bells_[side], &one, sizeof one));
    }
    /// False when nobody rings: a wake-up was lost.
    bool wait(Side side) {
        if (waiting_ == Waiting::spin) return spin(page_->rung[side]);
        pollfd poll{bells_[side], POLLIN, 0};
        std::uint64_t count = 0;
        return ::poll(&poll, 1, 10'000) == 1 && ::read(bells_[side], &count, sizeof count) == sizeof count;
    }

private:
    struct Page {
        RingHeader header;
        std::array<std::atomic<std::uint32_t>, 2> rung{};
    };

    static bool spin(std::atomic<std::uint32_t>& rung) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        for (unsigned i = 1; rung.exchange(0) == 0; ++i) {
            if (i % 256 != 0) continue;
            ::sched_yield();
            if (std::chrono::steady_clock::now() > deadline) return false;
        }
        return true;
    }

    std::size_t size_;
    Waiting waiting_;
    void* base_;
    Page* page_ = nullptr;
    std::array<int, 2> bells_{::eventfd(0, EFD_CLOEXEC), ::eventfd(0, EFD_CLOEXEC)};
};

using Sizes = std::uniform_int_distribution<std::size_t>;

/// Reads so many bytes of the stream, sleeping when there are none.
bool read_stream(SharedRing& ring, std::uint64_t total, Sizes sizes) {
    RingReader reader(ring.header(), ring.data());
    std::minstd_rand random(2);
    for (std::uint64_t done = 0; done < total;) {
        const auto bytes = read_up_to(reader, sizes(random));
        if (bytes != stretch(done, bytes.size())) return false;
        done += bytes.size();
        if (reader.wants_doorbell()) ring.wake(writer_side);
        if (bytes.empty() && reader.may_sleep() && !ring.wait(reader_side)) return false;
    }
    return !reader.broken();
}

/// Writes so many bytes of the stream, sleeping when there is no room.
bool write_stream(SharedRing& ring, std::uint64_t total, Sizes sizes) {
    RingWriter writer(ring.header(), ring.data());
    std::minstd_rand random(1);
    for (std::uint64_t done = 0; done < total;) {
        const std::size_t size = std::min<std::uint64_t>(sizes(random), total - done);
        const std::size_t count = writer.write(stretch(done, size));
        done += count;
        if (writer.wants_doorbell()) ring.wake(reader_side);
        if (count == 0 && writer.may_sleep() && !ring.wait(writer_side)) return false;
    }
    return !writer.broken();
}

} // namespace

TEST_CASE("bytes come out as they went in, from every place in the ring") {
    for (std::size_t start = 0; start < 32; ++start) {
        for (std::size_t size = 0; size <= 16; ++size) {
            Local<16> ring;
            for (std::size_t i = 0; i < start; ++i) {
                REQUIRE(ring.writer.write(stretch(i, 1)) == 1);
                REQUIRE(read_up_to(ring.reader, 1) == stretch(i, 1));
            }
            REQUIRE(ring.writer.write(stretch(start, size)) == size);
            REQUIRE(read_up_to(ring.reader, 16) == stretch(start, size));
        }
    }
}

TEST_CASE("a full ring takes nothing, an empty one gives nothing, and what fits is taken") {
    Local<8> ring;
    CHECK(read_up_to(ring.reader, 8).empty());
    CHECK(ring.writer.write({}) == 0);
    CHECK(ring.writer.write(stretch(0, 5)) == 5);
    CHECK(ring.writer.write(stretch(5, 5)) == 3);
    CHECK(ring.writer.write(stretch(8, 1)) == 0);
    CHECK(read_up_to(ring.reader, 0).empty());
    CHECK(read_up_to(ring.reader, 2) == stretch(0, 2));
    CHECK(ring.writer.write(stretch(8, 5)) == 2);
    CHECK(read_up_to(ring.reader, 100) == stretch(2, 8));
    CHECK_FALSE(ring.writer.broken());
    CHECK_FALSE(ring.reader.broken());
}

TEST_CASE("pieces of any size come out as from a queue") {
    Local<64> ring;
    std::deque<std::byte> model;
    std::minstd_rand random(3);
    Sizes sizes(0, 80);
    std::uint64_t written = 0;
    for (int i = 0; i < 20'000; ++i) {
        const auto in = stretch(written, sizes(random));
        const std::size_t taken = ring.writer.write(in);
        REQUIRE(taken == std::min(in.size(), 64 - model.size()));
        model.insert(model.end(), in.begin(), in.begin() + static_cast<std::ptrdiff_t>(taken));
        written += taken;
        const auto out = read_up_to(ring.reader, sizes(random));
        REQUIRE(std::equal(out.begin(), out.end(), model.begin()));
        model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(out.size()));
    }
}

TEST_CASE("the reader is woken once, and only if it sleeps") {
    Local<8> ring;
    REQUIRE(ring.writer.write(stretch(0, 1)) == 1);
    CHECK_FALSE(ring.writer.wants_doorbell());
    CHECK_FALSE(ring.reader.may_sleep()); // there is a byte
    CHECK_FALSE(ring.writer.wants_doorbell());
    REQUIRE(read_up_to(ring.reader, 8).size() == 1);
    CHECK(ring.reader.may_sleep());
    REQUIRE(ring.writer.write(stretch(1, 1)) == 1);
    CHECK(ring.writer.wants_doorbell());
    CHECK_FALSE(ring.writer.wants_doorbell());
    CHECK_FALSE(ring.reader.may_sleep());
}

TEST_CASE("the writer is woken once, when half of the ring is free") {
    Local<8> ring;
    CHECK_FALSE(ring.writer.may_sleep()); // there is room
    REQUIRE(ring.writer.write(stretch(0, 8)) == 8);
    CHECK_FALSE(ring.reader.wants_doorbell());
    CHECK(ring.writer.may_sleep());
    REQUIRE(read_up_to(ring.reader, 3).size() == 3);
    CHECK_FALSE(ring.reader.wants_doorbell());
    REQUIRE(read_up_to(ring.reader, 1).size() == 1);
    CHECK(ring.reader.wants_doorbell());
    CHECK_FALSE(ring.reader.wants_doorbell());
    CHECK_FALSE(ring.writer.may_sleep());
}

TEST_CASE("a writer that sleeps before the reader has looked is woken all the same") {
    Local<8> ring;
    REQUIRE(ring.writer.write(stretch(0, 4)) == 4);
    REQUIRE(read_up_to(ring.reader, 1).size() == 1);
    REQUIRE(ring.writer.write(stretch(4, 8)) == 5); // full, while the reader knows of three bytes
    REQUIRE(ring.writer.may_sleep());
    CHECK_FALSE(ring.reader.wants_doorbell());
    REQUIRE(read_up_to(ring.reader, 8).size() == 8);
    CHECK(ring.reader.wants_doorbell());
}

TEST_CASE("two processes pass a stream in pieces of any size and no wake-up is lost") {
    struct Run {
        std::size_t ring;
        Waiting waiting;
        std::uint64_t total;
        Sizes written;
        Sizes read;
    };
    const Run runs[] = {
        {4096, Waiting::sleep, 2'000'000, Sizes(1, 6000), Sizes(1, 6000)},
        {65536, Waiting::sleep, 2'000'000, Sizes(1, 100), Sizes(65536, 65536)},
        {64, Waiting::sleep, 100'000, Sizes(1, 20), Sizes(1, 100)},
        {1, Waiting::sleep, 10'000, Sizes(1, 1), Sizes(1, 2)},
        {8, Waiting::spin, 20'000, Sizes(1, 1), Sizes(1, 1)},
    };
    for (const Run& run : runs) {
        CAPTURE(run.ring);
        SharedRing ring(run.ring, run.waiting);
        const pid_t child = test::fork_child([&] { return read_stream(ring, run.total, run.read) ? 0 : 1; });
        CHECK(write_stream(ring, run.total, run.written));
        CHECK(test::wait_for(child) == 0);
    }
}

TEST_CASE("an index that makes no sense ends the writing") {
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    for (const std::uint64_t index :
         {std::uint64_t{1}, std::uint64_t{11}, std::uint64_t{1000}, most, most / 2, most - 7}) {
        CAPTURE(index);
        Local<8> ring;
        REQUIRE(ring.writer.write(stretch(0, 6)) == 6);
        ring.header.read = 2;
        REQUIRE(ring.writer.write(stretch(0, 4)) == 4);
        REQUIRE_FALSE(ring.writer.broken());
        ring.header.read = index; // of ten that were written, two were read
        CHECK(ring.writer.write(stretch(0, 1)) == 0);
        CHECK(ring.writer.broken());
        ring.header.read = 6;
        CHECK(ring.writer.write(stretch(0, 1)) == 0);
        CHECK_FALSE(ring.writer.may_sleep());
    }
}

TEST_CASE("an index that makes no sense ends the reading") {
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    for (const std::uint64_t index :
         {std::uint64_t{13}, std::uint64_t{1000}, most, most / 2, most - 7, std::uint64_t{5}}) {
        CAPTURE(index);
        Local<8> ring;
        REQUIRE(ring.writer.write(stretch(0, 6)) == 6);
        REQUIRE(read_up_to(ring.reader, 4).size() == 4);
        ring.header.written = index; // of six that were written, four were read
        CHECK(read_up_to(ring.reader, 8).empty());
        CHECK(ring.reader.broken());
        ring.header.written = 8;
        CHECK(read_up_to(ring.reader, 8).empty());
        CHECK_FALSE(ring.reader.may_sleep());
        ring.header.writer_sleeps = 1;
        CHECK_FALSE(ring.reader.wants_doorbell());
    }
}

TEST_CASE("whatever is written over the header, a side stays within its memory") {
    std::minstd_rand random(4);
    std::uniform_int_distribution<std::uint64_t> any;
    for (int i = 0; i < 20'000; ++i) {
        Local<16> ring;
        ring.header.written = i % 2 == 0 ? any(random) : random() % 24;
        ring.header.read = i % 3 == 0 ? any(random) : random() % 24;
        ring.header.reader_sleeps = static_cast<std::uint32_t>(random());
        REQUIRE(ring.writer.write(stretch(0, random() % 20)) <= 16);
        REQUIRE(read_up_to(ring.reader, random() % 20).size() <= 16);
        static_cast<void>(ring.writer.wants_doorbell());
        static_cast<void>(ring.reader.may_sleep());
    }
}

TEST_CASE("a ring of a size that is no power of two is refused") {
    RingHeader header;
    std::vector<std::byte> memory(24);
    CHECK_THROWS_AS(RingWriter(header, memory), std::invalid_argument);
    CHECK_THROWS_AS(RingReader(header, std::span<std::byte>()), std::invalid_argument);
}

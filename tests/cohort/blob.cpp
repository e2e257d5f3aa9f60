// SPDX-License-Identifier: MIT
#include <cohort/blob.hpp>

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/serialize.hpp>

#include <doctest/doctest.h>

#include <support/process.hpp>
#include <support/run_for.hpp>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using cohort::Blob;
using cohort::Errc;
using namespace cohort::detail;

namespace blobs {

struct Image {
    std::string name;
    Blob pixels;
    Blob mask;
};

} // namespace blobs

using blobs::Image;

namespace {

constexpr int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

std::vector<std::byte> pattern(std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 2654435761U) >> 13);
    return bytes;
}

bool same(std::span<const std::byte> one, std::span<const std::byte> other) { return std::ranges::equal(one, other); }

struct Encoded {
    Buffer bytes;
    std::vector<int> descriptors;
};

template <class T>
Encoded encoded(const T& value) {
    Encoded result;
    cohort::encode(value, result.bytes, {}, &result.descriptors);
    return result;
}

/// Decodes as after a channel: every descriptor is a copy, and those nobody takes are closed.
template <class T>
std::error_code arrive(const Encoded& message, T& value) {
    std::vector<int> copies;
    for (const int fd : message.descriptors) copies.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    const auto error = cohort::decode(message.bytes.bytes(), value, {}, copies);
    for (const int fd : copies)
        if (fd >= 0) ::close(fd);
    return error;
}

/// What a peer sends that passes this descriptor as a Blob of `size` bytes.
Encoded claimed(int fd, std::uint64_t size) {
    Encoded message;
    cohort::encode(std::pair(true, size), message.bytes);
    message.descriptors.push_back(fd);
    return message;
}

UniqueFd sealed(std::size_t size, int seals) {
    UniqueFd memory = make_memfd("cohort-test", size);
    seal(memory.get(), seals);
    return memory;
}

/// How many mappings of shared blobs this process has.
std::size_t mapped_blobs() {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) count += line.find("cohort-blob") != std::string::npos ? 1 : 0;
    return count;
}

} // namespace

TEST_CASE("a blob of any size arrives as it was") {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, Blob::shared_from - 1, Blob::shared_from,
                                   Blob::shared_from + 1, std::size_t{8} << 20}) {
        CAPTURE(size);
        const auto bytes = pattern(size);
        const Blob sent = Blob::copy_of(bytes);
        CHECK(sent.size() == size);
        CHECK(sent.empty() == (size == 0));
        CHECK(same(sent.bytes(), bytes));
        const Encoded message = encoded(sent);
        CHECK(message.descriptors.size() == (size < Blob::shared_from ? 0 : 1));
        if (size >= Blob::shared_from) CHECK(message.bytes.size() < 16);
        Blob received = Blob::copy_of("before");
        REQUIRE_FALSE(arrive(message, received));
        CHECK(received.size() == size);
        CHECK(same(received.bytes(), bytes));
        CHECK(received.to_vector() == bytes);
    }
}

TEST_CASE("what arrived outlives what was sent, and can be sent on") {
    const auto bytes = pattern(Blob::shared_from);
    Blob blob = Blob::copy_of(bytes);
    for (int hop = 0; hop < 3; ++hop) {
        Blob next;
        REQUIRE_FALSE(arrive(encoded(blob), next));
        blob = std::move(next);
    }
    CHECK(same(blob.bytes(), bytes));
}

TEST_CASE("blobs are members of messages, and keep their order") {
    const Image sent{"sky", Blob::copy_of(pattern(Blob::shared_from)), Blob::copy_of(pattern(Blob::shared_from * 2))};
    Image received;
    REQUIRE_FALSE(arrive(encoded(sent), received));
    CHECK(received.name == "sky");
    CHECK(same(received.pixels.bytes(), sent.pixels.bytes()));
    CHECK(same(received.mask.bytes(), sent.mask.bytes()));
}

TEST_CASE("a blob is filled in place, and copied from text") {
    for (const std::size_t size : {std::size_t{0}, std::size_t{10}, Blob::shared_from}) {
        CAPTURE(size);
        const Blob blob = Blob::make(size, [](std::span<std::byte> out) { std::ranges::fill(out, std::byte{'x'}); });
        CHECK(blob.text() == std::string(size, 'x'));
    }
    CHECK(Blob::copy_of("hello").text() == "hello");
    CHECK(Blob::copy_of(std::string(Blob::shared_from, 'y')).text() == std::string(Blob::shared_from, 'y'));
}

TEST_CASE("what is not filled is zero") {
    for (const std::size_t size : {std::size_t{10}, Blob::shared_from}) {
        CAPTURE(size);
        const Blob blob = Blob::make(size, [](std::span<std::byte> out) { out[0] = std::byte{1}; });
        CHECK(blob.bytes().front() == std::byte{1});
        CHECK(std::ranges::count(blob.bytes(), std::byte{0}) == static_cast<std::ptrdiff_t>(size) - 1);
    }
}

TEST_CASE("a blob whose filling fails is none, and leaves nothing behind") {
    const auto before = test::open_descriptors();
    for (const std::size_t size : {std::size_t{10}, Blob::shared_from})
        CHECK_THROWS_AS(Blob::make(size, [](std::span<std::byte>) { throw std::runtime_error("no"); }),
                        std::runtime_error);
    CHECK(test::error_of([] { Blob::make(Blob::max_size + 1, [](std::span<std::byte>) {}); }) ==
          Errc::message_too_large);
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("copies share the bytes, a vector does not") {
    for (const std::size_t size : {std::size_t{10}, Blob::shared_from}) {
        CAPTURE(size);
        Blob copy;
        {
            const Blob blob = Blob::copy_of(pattern(size));
            copy = blob;
            CHECK(copy.bytes().data() == blob.bytes().data());
        }
        auto own = copy.to_vector();
        own[0] ^= std::byte{1};
        CHECK(same(copy.bytes(), pattern(size)));
        const Blob moved = std::move(copy);
        CHECK(same(moved.bytes(), pattern(size)));
        CHECK(copy.empty());
    }
}

TEST_CASE("nobody can change a shared blob any more") {
    const Encoded message = encoded(Blob::copy_of(pattern(10)));
    CHECK(message.descriptors.empty());
    const Blob blob = Blob::copy_of(pattern(Blob::shared_from));
    const int fd = encoded(blob).descriptors.at(0);
    CHECK(has_seals(fd, all_seals));
    CHECK(::pwrite(fd, "x", 1, 0) == -1);
    CHECK(errno == EPERM);
    CHECK(::ftruncate(fd, 1) == -1);
    CHECK(test::error_of([&] { Mapping::map(fd, blob.size(), true); }) == std::errc::operation_not_permitted);
    CHECK(same(blob.bytes(), pattern(Blob::shared_from)));
}

TEST_CASE("memory that is not sealed, not long enough or no memory is refused and closed") {
    const auto before = test::open_descriptors();
    {
        Blob received = Blob::copy_of("before");
        const std::size_t size = Blob::shared_from;
        const UniqueFd good = sealed(size, all_seals);
        CHECK_FALSE(arrive(claimed(good.get(), size), received));
        CHECK_FALSE(arrive(claimed(good.get(), size - 1), received));
        CHECK(received.size() == size - 1);
        CHECK(arrive(claimed(good.get(), size + 1), received) == Errc::bad_message);
        CHECK(arrive(claimed(good.get(), 0), received) == Errc::bad_message);
        CHECK(arrive(claimed(good.get(), ~std::uint64_t{0}), received) == Errc::bad_message);
        for (const int seal : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL})
            CHECK(arrive(claimed(sealed(size, all_seals & ~seal).get(), size), received) == Errc::bad_message);
        CHECK(arrive(claimed(make_memfd("cohort-test", size).get(), size), received) == Errc::bad_message);
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        for (const int end : ends) {
            CHECK(arrive(claimed(end, size), received) == Errc::bad_message);
            ::close(end);
        }
        CHECK(received.size() == size - 1);
    }
    CHECK(test::open_descriptors() == before);
}

TEST_CASE("memory larger than any blob is refused") {
    const UniqueFd huge = sealed(Blob::max_size + 1, all_seals);
    Blob received;
    CHECK(arrive(claimed(huge.get(), Blob::max_size + 1), received) == Errc::bad_message);
    CHECK_FALSE(arrive(claimed(huge.get(), Blob::max_size), received));
    CHECK(received.bytes().back() == std::byte{0});
}

TEST_CASE("descriptors that are missing or too many, and bytes that are cut, are no message") {
    const Blob blob = Blob::copy_of(pattern(Blob::shared_from));
    Blob received;
    Encoded none = encoded(blob);
    none.descriptors.clear();
    CHECK(arrive(none, received) == Errc::bad_message);
    Encoded two = encoded(blob);
    two.descriptors.push_back(two.descriptors[0]);
    CHECK(arrive(two, received) == Errc::bad_message);
    for (const Blob& cut : {blob, Blob::copy_of("hello")}) {
        Encoded message = encoded(cut);
        message.bytes.truncate(message.bytes.size() - 1);
        CHECK(arrive(message, received) == Errc::bad_message);
    }
}

TEST_CASE("bytes in the message keep to its limits, and shared ones need a way for descriptors") {
    Buffer buffer;
    const Blob small = Blob::copy_of(pattern(100));
    CHECK(test::error_of([&] { cohort::encode(small, buffer, {.bytes = 50}); }) == Errc::message_too_large);
    cohort::encode(small, buffer);
    Blob received;
    CHECK(cohort::decode(buffer.bytes(), received, {.bytes = 50}) == Errc::message_too_large);
    Buffer other;
    const Blob large = Blob::copy_of(pattern(Blob::shared_from));
    CHECK(test::error_of([&] { cohort::encode(large, other); }) == Errc::no_descriptors);
    CHECK(other.empty());
}

TEST_CASE("a thousand blobs leave no descriptor and no mapping behind") {
    const auto bytes = pattern(Blob::shared_from);
    const Blob first = Blob::copy_of(bytes);
    const auto before = test::open_descriptors();
    const std::size_t mapped_before = mapped_blobs();
    CHECK(mapped_before == 1);
    for (int i = 0; i < 1000; ++i) {
        const Blob blob = Blob::copy_of(bytes);
        Blob received;
        REQUIRE_FALSE(arrive(encoded(blob), received));
        REQUIRE(received.bytes().back() == bytes.back());
    }
    CHECK(test::open_descriptors() == before);
    CHECK(mapped_blobs() == mapped_before);
}

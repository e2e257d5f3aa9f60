// SPDX-License-Identifier: MIT
#include <cohort/detail/channel/frame.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using cohort::Errc;
using namespace cohort::detail;

namespace {

constexpr std::size_t frame_limit = 1000;

void add(Buffer& out, std::string_view text, FrameKind kind = FrameKind::message) {
    FrameHeader header{.kind = kind};
    append_frame(out, header, frame_limit, [&](Buffer& to) { to.append(text.data(), text.size()); });
}

std::string text_of(const Frame& frame) {
    return {reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size()};
}

std::vector<std::byte> header_bytes(FrameHeader header) {
    std::vector<std::byte> bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

std::error_code error_of(FrameHeader header, std::size_t max_length = frame_limit) {
    FrameReader reader(max_length);
    std::error_code error;
    CHECK_FALSE(reader.next(header_bytes(header), error));
    return error;
}

} // namespace

TEST_CASE("what is written as frames is read as frames") {
    Buffer bytes;
    add(bytes, "first", FrameKind::hello);
    add(bytes, "");
    add(bytes, std::string(frame_limit, 'x'));

    FrameReader reader(frame_limit);
    for (const auto& expected : {std::string("first"), std::string(), std::string(frame_limit, 'x')}) {
        std::error_code error;
        const auto frame = reader.next(bytes.bytes(), error);
        REQUIRE(frame);
        CHECK_FALSE(error);
        CHECK(text_of(*frame) == expected);
        CHECK(frame->header.kind == (expected == "first" ? FrameKind::hello : FrameKind::message));
        bytes.consume(sizeof(FrameHeader) + frame->header.length);
    }
    CHECK(bytes.empty());
}

TEST_CASE("a frame cut anywhere is waited for, and says how much it needs as soon as that is known") {
    Buffer whole;
    add(whole, "payload");
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        CAPTURE(cut);
        FrameReader reader(frame_limit);
        std::error_code error;
        CHECK_FALSE(reader.next(whole.bytes().first(cut), error));
        CHECK_FALSE(error);
        CHECK(reader.missing() == (cut < sizeof(FrameHeader) ? 0 : whole.size() - cut));
        REQUIRE(reader.next(whole.bytes(), error));
        CHECK(reader.missing() == 0);
    }
}

TEST_CASE("a length beyond the limit is an error as soon as the header is there") {
    for (const std::uint32_t length : {std::uint32_t{frame_limit + 1}, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
        CAPTURE(length);
        CHECK(error_of({.length = length}) == Errc::message_too_large);
        if (length > max_hello)
            CHECK(error_of({.length = length, .kind = FrameKind::hello}) == Errc::message_too_large);
    }
    CHECK_FALSE(error_of({.length = frame_limit}));
    CHECK_FALSE(error_of({.length = 1}));
    CHECK(error_of({.length = 0xffffffffU}, 0xfffffffeU) == Errc::message_too_large);
}

TEST_CASE("a hello has a limit of its own, so that a low one for messages does not keep it out") {
    CHECK_FALSE(error_of({.length = max_hello, .kind = FrameKind::hello}, 4));
    CHECK(error_of({.length = max_hello + 1, .kind = FrameKind::hello}, 1 << 20) == Errc::message_too_large);
    Buffer bytes;
    const auto fill = [](Buffer& out) { out.append("longer than 4", 13); };
    FrameHeader hello{.kind = FrameKind::hello};
    FrameHeader message;
    append_frame(bytes, hello, 4, fill);
    CHECK_THROWS_AS(append_frame(bytes, message, 4, fill), std::system_error);
}

TEST_CASE("a kind that is not ours, and descriptors where there can be none, are bad frames") {
    for (const int kind : {0, 10, 11, 255, 256, 0x0201, 0xffff}) {
        CAPTURE(kind);
        CHECK(error_of({.length = 0, .kind = static_cast<FrameKind>(kind)}) == Errc::bad_frame);
        CHECK(error_of({.length = 0xffffffff, .kind = static_cast<FrameKind>(kind)}) == Errc::bad_frame);
    }
    CHECK_FALSE(error_of({.length = 1, .descriptors = max_descriptors}));
    CHECK(error_of({.descriptors = max_descriptors + 1}) == Errc::bad_frame);
    for (const auto kind : {FrameKind::hello, FrameKind::taken, FrameKind::failure, FrameKind::cancel, FrameKind::last})
        CHECK(error_of({.kind = kind, .descriptors = 1}) == Errc::bad_frame);
}

TEST_CASE("a frame that cannot be written leaves the buffer as it was") {
    Buffer bytes;
    add(bytes, "kept");
    const std::size_t before = bytes.size();

    CHECK_THROWS_AS(add(bytes, std::string(frame_limit + 1, 'x')), std::system_error);
    CHECK(bytes.size() == before);

    const auto half = [](Buffer& out) {
        out.append("half", 4);
        throw 42;
    };
    FrameHeader header;
    CHECK_THROWS_AS(append_frame(bytes, header, frame_limit, half), int);
    CHECK(bytes.size() == before);

    FrameReader reader(frame_limit);
    std::error_code error;
    const auto frame = reader.next(bytes.bytes(), error);
    REQUIRE(frame);
    CHECK(text_of(*frame) == "kept");
}

TEST_CASE("whatever the bytes are, they are a frame, an error, or not enough") {
    std::mt19937 random(20240501);
    for (int round = 0; round < 20'000; ++round) {
        std::vector<std::byte> bytes(random() % 40);
        for (auto& byte : bytes) byte = static_cast<std::byte>(random() % 4 == 0 ? random() : random() % 3);
        FrameReader reader(frame_limit);
        std::error_code error;
        const auto frame = reader.next(bytes, error);
        if (frame) CHECK(frame->payload.size() + sizeof(FrameHeader) <= bytes.size());
        if (error) CHECK((error == Errc::bad_frame || error == Errc::message_too_large));
        CHECK(reader.missing() <= std::max(frame_limit, max_hello));
    }
}

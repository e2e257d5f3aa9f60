// SPDX-License-Identifier: MIT
// A libFuzzer target: bytes from anybody, as frames and as messages. None may crash, leak, or take more memory than the
// limits say; what decodes must encode to the same bytes again.
//
//     tests/fuzz/run.sh          builds all targets and runs them for a while
#include "target.hpp"

#include <cohort/detail/channel/frame.hpp>
#include <cohort/serialize.hpp>

#include <array>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace fuzz {

namespace {

enum class Level : std::uint16_t { low = 1, high = 700 };

struct Nothing {};

struct Point {
    std::int32_t x = 0;
    std::int32_t y = 0;
};

struct Tree {
    std::string name;
    std::vector<Tree> children;
    std::unique_ptr<Tree> twin;
};

/// Refuses half of what it reads.
class Even {
public:
    static void serialize(auto& archive, auto& self) {
        archive(self.value_, self.note_);
        if constexpr (std::remove_reference_t<decltype(archive)>::decoding) {
            if (self.value_ % 2 != 0) archive.reject();
        }
    }

private:
    std::int64_t value_ = 0;
    std::optional<std::string> note_;
};

struct Rich {
    bool flag = false;
    Level level = Level::low;
    double number = 0;
    std::string text;
    std::u16string wide;
    std::vector<bool> bits;
    std::bitset<13> set_bits;
    std::array<Point, 2> corners;
    std::filesystem::path path;
    std::chrono::milliseconds time{};
    std::optional<std::vector<std::string>> lines;
    std::variant<Nothing, std::int8_t, std::string, std::vector<Even>, std::map<std::string, Tree>> either;
    std::map<std::string, std::vector<Point>> outlines;
    std::multimap<double, Level> levels;
    std::set<std::uint16_t> ports;
    std::deque<std::tuple<std::uint8_t, std::string>> pairs;
    std::list<std::optional<Even>> evens;
    std::unique_ptr<Even> one;
    Tree tree;
};

/// Its entries have no order of their own.
struct Loose {
    std::unordered_map<std::string, std::vector<std::uint32_t>> counts;
    std::unordered_multimap<double, std::string> names;
    std::unordered_set<std::int64_t> ids;
};

constexpr cohort::SerializeLimits message_limits{.bytes = 32 << 10, .depth = 12};

template <class T>
std::string encoding(const T& value) {
    cohort::detail::Buffer out;
    cohort::encode(value, out, message_limits);
    return {reinterpret_cast<const char*>(out.data()), out.size()};
}

template <class T>
bool decodes(std::string_view bytes, T& value) {
    return !cohort::decode(std::as_bytes(std::span(bytes)), value, message_limits);
}

/// Decodes; what it takes in memory stays in proportion to the limit, whatever the bytes say.
template <class T>
bool decodes_within_limits(std::string_view bytes, T& value) {
    const std::size_t before = allocated_bytes();
    const bool decoded = decodes(bytes, value);
    const std::size_t after = allocated_bytes();
    require(after < before + 2 * message_limits.bytes + 4096, "a decoded message keeps its limit of memory");
    return decoded;
}

/// There is one encoding of a value: bytes that decode are those that encode() writes, also when the value they went
/// into was not empty.
void check_rich(std::string_view bytes) {
    static auto used = std::make_unique<Rich>();
    Rich value;
    const bool decoded = decodes_within_limits(bytes, value);
    require(decodes(bytes, *used) == decoded, "what was in the value before does not matter");
    if (!decoded) return;
    require(encoding(value) == bytes, "a decoded value encodes to what it came from");
    require(encoding(*used) == bytes, "nothing is left of what was in the value before");
}

/// The same but for the order of entries.
void check_loose(std::string_view bytes) {
    Loose value;
    if (!decodes_within_limits(bytes, value)) return;
    const std::string first = encoding(value);
    require(first.size() == bytes.size(), "a decoded value encodes to as much as it came from");
    Loose again;
    require(decodes(first, again), "an encoding decodes");
    require(again.ids == value.ids && again.counts == value.counts, "decoding gives what was encoded");
}

Rich example() {
    Rich rich;
    rich.flag = true;
    rich.level = Level::high;
    rich.text = "text";
    rich.wide = u"wide";
    rich.bits = {true, false, true};
    rich.set_bits = 0x155;
    rich.path = "/a/b";
    rich.lines = {"one", "two"};
    rich.either = std::map<std::string, Tree>{};
    std::get<4>(rich.either)["key"].children.resize(2);
    rich.outlines["square"] = {{1, 2}, {3, 4}};
    rich.levels = {{0.5, Level::low}, {0.5, Level::high}};
    rich.ports = {80, 443};
    rich.pairs = {{std::uint8_t{1}, "first"}};
    rich.evens.resize(2);
    rich.evens.back().emplace();
    rich.one = std::make_unique<Even>();
    rich.tree.name = "root";
    rich.tree.twin = std::make_unique<Tree>();
    return rich;
}

struct Found {
    std::vector<std::string> payloads;
    std::size_t consumed = 0;
    std::error_code error;

    friend bool operator==(const Found&, const Found&) = default;
};

/// The frames of a stream that comes in pieces.
Found frames_of(std::string_view stream, std::size_t piece) {
    Found found;
    cohort::detail::FrameReader reader(1000);
    cohort::detail::Buffer buffer;
    while (!found.error && !stream.empty()) {
        const auto part = stream.substr(0, piece);
        stream.remove_prefix(part.size());
        buffer.append(part.data(), part.size());
        while (const auto frame = reader.next(buffer.bytes(), found.error)) {
            found.payloads.emplace_back(reinterpret_cast<const char*>(frame->payload.data()), frame->payload.size());
            found.consumed += sizeof(cohort::detail::FrameHeader) + frame->payload.size();
            buffer.consume(sizeof(cohort::detail::FrameHeader) + frame->payload.size());
        }
    }
    return found;
}

void check_frames(Script script) {
    const std::size_t piece = script.next() + std::size_t{1};
    const Found whole = frames_of(script.rest(), script.rest().size() + 1);
    require(frames_of(script.rest(), piece) == whole, "frames are the same however their bytes were cut");
    for (const auto& payload : whole.payloads) check_rich(payload);
}

} // namespace

void run(Script script) {
    const std::uint8_t what = script.next();
    if (what % 3 == 0) check_rich(script.rest());
    if (what % 3 == 1) check_loose(script.rest());
    if (what % 3 == 2) check_frames(script);
}

std::vector<std::string> seeds() {
    using namespace std::string_literals;
    const std::string rich = encoding(example());
    std::string frame(sizeof(cohort::detail::FrameHeader), '\0');
    const cohort::detail::FrameHeader header{.length = static_cast<std::uint32_t>(rich.size())};
    std::memcpy(frame.data(), &header, sizeof header);
    Loose loose;
    loose.counts = {{"one", {1}}, {"two", {1, 2}}};
    loose.names = {{1.0, "a"}, {1.0, "b"}};
    loose.ids = {7, 8};
    return {"\0"s + rich, "\1"s + encoding(loose), "\2\5"s + frame + rich + frame + rich};
}

} // namespace fuzz

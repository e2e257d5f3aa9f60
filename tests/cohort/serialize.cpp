// SPDX-License-Identifier: MIT
#include <cohort/serialize.hpp>

#include <doctest/doctest.h>

#include <array>
#include <bitset>
#include <chrono>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace serialize_test {

struct Empty {
    bool operator==(const Empty&) const = default;
};

struct Point {
    int x = 0;
    int y = 0;
    auto operator<=>(const Point&) const = default;
};

struct Padded {
    char c = 0;
    int i = 0;
    bool operator==(const Padded&) const = default;
};

enum class Colour : std::uint8_t { red, green, blue };
enum class Flag : bool { off, on };
enum Unscoped { zero, one, seven = 7 };
enum Negative { minus = -3, plus = 2 };

struct Arrays {
    int numbers[3] = {};
    std::string texts[2];
    int matrix[2][2] = {};
    std::array<bool, 3> flags{};
    bool operator==(const Arrays&) const = default;
};

struct Everything {
    bool boolean = false;
    double number = 0;
    Colour colour{};
    std::string text;
    std::vector<Point> points;
    std::vector<bool> bits;
    std::map<std::string, std::vector<int>> map;
    std::set<int> set;
    std::unordered_map<int, std::string> unordered;
    std::optional<Padded> padded;
    std::variant<std::monostate, int, std::string, std::vector<std::string>> variant;
    std::tuple<int, std::string> tuple;
    std::chrono::milliseconds duration{};
    std::filesystem::path path;
    Arrays arrays;
    std::vector<Empty> empties;
    std::bitset<11> bitset;
    std::list<std::optional<std::string>> list;
    std::multimap<double, Flag> multimap;
    bool operator==(const Everything&) const = default;
};

/// Contains itself in each way that there is.
struct Tree {
    int label = 0;
    std::vector<Tree> children;
    std::unique_ptr<Tree> next;
    std::map<int, Tree> named;
    std::optional<std::vector<Tree>> others;
    std::variant<int, std::unique_ptr<Tree>> either;
};

struct Link {
    std::unique_ptr<Link> next;
};

struct Nest {
    std::vector<Nest> inner;
};

struct Even;
struct Odd {
    std::vector<Even> evens;
};
struct Even {
    std::unique_ptr<Odd> odd;
};

class Account {
public:
    Account() = default;
    Account(std::string owner, long balance) : owner_{std::move(owner)}, balance_{balance} {}
    bool operator==(const Account&) const = default;
    static void serialize(auto& archive, auto& self) { archive(self.owner_, self.balance_); }

private:
    std::string owner_;
    long balance_ = 0;
};

/// A serialize function that is a member but not static, and an explicit default constructor.
class Tally {
public:
    explicit Tally(int count = 0) : count_{count} {}
    bool operator==(const Tally&) const = default;

    template <class Archive, class Self>
    void serialize(Archive& archive, Self& self) const {
        archive(self.count_);
    }

private:
    int count_;
};

/// A serialize function that is free, found by its argument.
class Celsius {
public:
    double degrees() const { return degrees_; }
    double& degrees() { return degrees_; }
    bool operator==(const Celsius&) const = default;

private:
    double degrees_ = 0;
};

template <class Archive, class Self>
    requires std::same_as<std::remove_const_t<Self>, Celsius>
void serialize(Archive& archive, Self& self) {
    archive(self.degrees());
}

/// Validates what it reads.
class Percentage {
public:
    Percentage() = default;
    explicit Percentage(int value) : value_{value} {}
    bool operator==(const Percentage&) const = default;

    static void serialize(auto& archive, auto& self) {
        archive(self.value_);
        if (self.value_ < 0 || self.value_ > 100) archive.reject();
    }

private:
    int value_ = 0;
};

/// Recursive by its own pointers, which only a serialize function can follow.
class Chain {
public:
    static void serialize(auto& archive, auto& self) {
        bool more = self.next_ != nullptr;
        archive(more);
        if constexpr (std::remove_reference_t<decltype(archive)>::decoding) {
            if (more) self.next_ = std::make_shared<Chain>();
        }
        if (more) archive(*self.next_);
    }
    void grow(int length) {
        if (length == 0) return;
        next_ = std::make_shared<Chain>();
        next_->grow(length - 1);
    }
    int length() const { return next_ ? 1 + next_->length() : 0; }

private:
    std::shared_ptr<Chain> next_;
};

struct Thrower {
    Thrower() = default;
    Thrower(int) { throw 1; }
    static void serialize(auto& archive, auto& self) { archive(self.text); }
    std::string text;
};

struct HasCustom {
    Account account;
    std::vector<Celsius> temperatures;
    Tally counter;
    std::map<int, Percentage> shares;
    bool operator==(const HasCustom&) const = default;
};

} // namespace serialize_test

namespace {

using namespace serialize_test;
using namespace std::chrono_literals;
using cohort::decode;
using cohort::encode;
using cohort::Errc;
using cohort::schema_hash;
using cohort::Serializable;
using cohort::SerializeLimits;
using cohort::detail::Buffer;

using Bytes = std::vector<std::byte>;

template <class T>
Bytes encoded(const T& value) {
    Buffer buffer;
    encode(value, buffer);
    return {buffer.data(), buffer.data() + buffer.size()};
}

/// From a block of exactly this size, so that a sanitizer sees the first byte read beyond it.
template <class T>
std::error_code decoded(std::span<const std::byte> bytes, T& value, const SerializeLimits& limits = {}) {
    const std::unique_ptr<std::byte[]> exact{new std::byte[bytes.size()]};
    std::copy(bytes.begin(), bytes.end(), exact.get());
    return decode(std::span<const std::byte>{exact.get(), bytes.size()}, value, limits);
}

Bytes bytes_of(std::initializer_list<int> values) {
    Bytes bytes;
    for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
    return bytes;
}

/// It comes back equal, into a fresh value and over an old one; and no part of its encoding is accepted for all of it.
template <class T>
void check_round_trip(const T& value, T old = T()) {
    const Bytes bytes = encoded(value);
    T fresh = T();
    REQUIRE_FALSE(decoded(bytes, fresh));
    CHECK((fresh == value)); // compiled once for all types
    REQUIRE_FALSE(decoded(bytes, old));
    CHECK((old == value));
    CHECK(encoded(fresh).size() == bytes.size());

    for (std::size_t length = 0; length != bytes.size(); ++length) {
        T cut = T();
        CHECK(decoded(std::span{bytes}.first(length), cut) == Errc::bad_message);
    }
    Bytes longer = bytes;
    longer.push_back(std::byte{0});
    CHECK(decoded(longer, fresh) == Errc::bad_message);
}

Everything sample() {
    Everything value;
    value.boolean = true;
    value.number = -1.5;
    value.colour = Colour::blue;
    value.text = "some text that does not fit into the object itself";
    value.points = {{1, 2}, {3, 4}};
    value.bits = {true, false, true};
    value.map = {{"a", {1, 2, 3}}, {"b", {}}};
    value.set = {3, 1, 2};
    value.unordered = {{1, "one"}, {2, "two"}};
    value.padded = Padded{'p', 7};
    value.variant = std::vector<std::string>{"x", "", "yz"};
    value.tuple = {5, "five"};
    value.duration = 1234ms;
    value.path = "/usr/share/../lib";
    value.arrays = {{1, 2, 3}, {"left", "right"}, {{1, 2}, {3, 4}}, {true, false, true}};
    value.empties.resize(3);
    value.bitset = 0b10110011101;
    value.list = {std::nullopt, "present"};
    value.multimap = {{1.0, Flag::on}, {1.0, Flag::off}, {2.0, Flag::on}};
    return value;
}

TEST_CASE_TEMPLATE("integers and floating-point numbers of all widths", T, char, signed char, unsigned char, wchar_t,
                   char8_t, char16_t, char32_t, short, unsigned short, int, unsigned, long, unsigned long, long long,
                   unsigned long long, float, double, long double) {
    for (const T value :
         {T{}, T{1}, std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), std::numeric_limits<T>::lowest()}) {
        check_round_trip(value);
        check_round_trip(std::vector<T>{value, T{}, value});
        check_round_trip(std::array<T, 2>{value, T{2}});
        check_round_trip(std::optional<T>{value});
    }
}

TEST_CASE("floating-point values beyond the numbers") {
    for (const double value :
         {std::numeric_limits<double>::infinity(), -0.0, std::numeric_limits<double>::denorm_min()}) {
        check_round_trip(value);
    }
    double value = 0;
    REQUIRE_FALSE(decoded(encoded(std::numeric_limits<double>::quiet_NaN()), value));
    CHECK(std::isnan(value));
}

TEST_CASE("bool, enumerations and byte") {
    check_round_trip(true);
    check_round_trip(false);
    check_round_trip(Colour::green);
    check_round_trip(Flag::on);
    check_round_trip(seven);
    check_round_trip(minus);
    check_round_trip(plus);
    check_round_trip(std::byte{200});
    check_round_trip(std::vector<std::byte>(100, std::byte{7}));
    check_round_trip(std::vector<Flag>{Flag::on, Flag::off});
}

TEST_CASE("strings") {
    check_round_trip(std::string{});
    check_round_trip(std::string{"a\0b", 3});
    check_round_trip(std::string(10'000, 'x').substr(0, 300), std::string{"longer than nothing"});
    check_round_trip(std::wstring{L"wide"});
    check_round_trip(std::u8string{u8"\u00e9"});
    check_round_trip(std::u16string{u"sixteen"});
    check_round_trip(std::u32string{U"thirty-two"});
    check_round_trip(std::filesystem::path{});
    check_round_trip(std::filesystem::path{"/a/b/../c"});
}

TEST_CASE("sequences") {
    check_round_trip(std::vector<int>{});
    check_round_trip(std::vector<int>{1, 2, 3}, {9, 9, 9, 9, 9});
    check_round_trip(std::vector<std::string>{"a", "", "c"}, {"old"});
    check_round_trip(std::vector<bool>{true, false, true, true}, {false});
    check_round_trip(std::vector<std::vector<Point>>{{{1, 2}}, {}, {{3, 4}, {5, 6}}});
    check_round_trip(std::deque<int>{1, 2, 3});
    check_round_trip(std::list<std::string>{"x", "y"}, {"1", "2", "3"});
    check_round_trip(std::vector<Empty>(5));
    check_round_trip(std::vector<Padded>{{'a', 1}, {'b', 2}});
}

TEST_CASE("arrays and bitsets") {
    check_round_trip(std::array<int, 0>{});
    check_round_trip(std::array<std::string, 2>{"a", "b"});
    check_round_trip(std::array<std::array<bool, 2>, 2>{{{true, false}, {false, true}}});
    check_round_trip(Arrays{{1, 2, 3}, {"p", "q"}, {{1, 2}, {3, 4}}, {true, true, false}});
    check_round_trip(std::bitset<0>{});
    check_round_trip(std::bitset<8>{0xa5});
    check_round_trip(std::bitset<70>{0x123456789abcdef});
}

TEST_CASE("sets and maps") {
    check_round_trip(std::set<int>{3, 1, 2}, {7});
    check_round_trip(std::set<std::string, std::greater<>>{"a", "b", "c"});
    check_round_trip(std::multiset<int>{1, 1, 2, 2, 2});
    check_round_trip(std::unordered_set<std::string>{"a", "b"}, {"old"});
    check_round_trip(std::unordered_multiset<int>{1, 1, 2});
    check_round_trip(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}}, {{"old", {}}});
    check_round_trip(std::multimap<int, std::string>{{1, "a"}, {1, "b"}, {2, "c"}});
    check_round_trip(std::unordered_map<int, Point>{{1, {2, 3}}, {4, {5, 6}}});
    check_round_trip(std::unordered_multimap<int, int>{{1, 2}, {1, 3}});
    check_round_trip(std::map<Point, std::set<int>>{{{1, 2}, {1, 2}}, {{1, 3}, {}}});
}

TEST_CASE("optional, variant, tuple and pair") {
    check_round_trip(std::optional<int>{});
    check_round_trip(std::optional<int>{}, std::optional<int>{5});
    check_round_trip(std::optional<std::string>{"text"}, std::optional<std::string>{"old"});
    check_round_trip(std::optional<std::optional<int>>{std::optional<int>{}});
    using Variant = std::variant<std::monostate, int, std::string, int>;
    check_round_trip(Variant{});
    check_round_trip(Variant{"text"}, Variant{"old"});
    check_round_trip(Variant{std::in_place_index<1>, 5}, Variant{"old"});
    check_round_trip(Variant{std::in_place_index<3>, 5}, Variant{std::in_place_index<1>, 5});
    check_round_trip(std::tuple<>{});
    check_round_trip(std::tuple<int, std::string, bool>{1, "two", true});
    check_round_trip(std::pair<std::string, int>{"a", 1});
}

TEST_CASE("durations and time points") {
    check_round_trip(-5s);
    check_round_trip(std::chrono::duration<double>{1.5});
    check_round_trip(std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()));
    check_round_trip(std::chrono::steady_clock::now());
    check_round_trip(std::vector<std::chrono::nanoseconds>{1ns, 2ns});
}

TEST_CASE("aggregates without any code") {
    check_round_trip(Empty{});
    check_round_trip(Point{1, 2});
    check_round_trip(Padded{'x', 2});
    check_round_trip(Everything{});
    check_round_trip(sample());
    check_round_trip(sample(), sample());
    check_round_trip(Everything{}, sample());
}

TEST_CASE("classes with a serialize function") {
    check_round_trip(Account{"Ada", 42});
    check_round_trip(Tally{7});
    check_round_trip(Percentage{50});
    Celsius warm;
    warm.degrees() = 36.6;
    check_round_trip(HasCustom{{"Bob", -1}, {warm, Celsius{}}, Tally{3}, {{1, Percentage{99}}}});
    check_round_trip(std::optional<std::vector<Account>>{{{"a", 1}, {"b", 2}}});
}

TEST_CASE("a serialize function may refuse what it reads, and what it would write") {
    Percentage value;
    CHECK(decoded(encoded(101), value) == Errc::bad_message);
    CHECK_FALSE(decoded(encoded(100), value));
    Buffer buffer;
    CHECK_THROWS_AS(encode(Percentage{-1}, buffer), std::system_error);
    CHECK(buffer.empty());
}

TEST_CASE("what can only be moved is sent as well") {
    const std::vector<std::unique_ptr<std::string>> value = [] {
        std::vector<std::unique_ptr<std::string>> made;
        made.push_back(std::make_unique<std::string>("there"));
        made.push_back(nullptr);
        return made;
    }();
    std::vector<std::unique_ptr<std::string>> copy(2);
    copy[1] = std::make_unique<std::string>("old");
    REQUIRE_FALSE(decoded(encoded(value), copy));
    REQUIRE(copy.size() == 2);
    REQUIRE(copy[0]);
    CHECK(*copy[0] == "there");
    CHECK_FALSE(copy[1]);
}

TEST_CASE("types that contain themselves") {
    Tree tree;
    tree.label = 1;
    tree.children.resize(2);
    tree.children[1].label = 2;
    tree.next = std::make_unique<Tree>();
    tree.next->label = 3;
    tree.named[5].label = 4;
    tree.others.emplace(1)[0].label = 5;
    tree.either = std::make_unique<Tree>();
    Tree copy;
    REQUIRE_FALSE(decoded(encoded(tree), copy));
    REQUIRE(copy.children.size() == 2);
    CHECK(copy.children[1].label == 2);
    CHECK(copy.next->label == 3);
    CHECK(copy.named.at(5).label == 4);
    CHECK(copy.others->at(0).label == 5);
    CHECK(std::get<1>(copy.either)->label == 0);

    Odd odd;
    odd.evens.resize(1);
    odd.evens[0].odd = std::make_unique<Odd>();
    Odd back;
    REQUIRE_FALSE(decoded(encoded(odd), back));
    CHECK(back.evens.at(0).odd->evens.empty());
}

TEST_CASE("the encoding is what the documentation says") {
    CHECK(encoded(std::uint32_t{0x01020304}) == bytes_of({4, 3, 2, 1}));
    CHECK(encoded(std::int16_t{-2}) == bytes_of({0xfe, 0xff}));
    CHECK(encoded(true) == bytes_of({1}));
    CHECK(encoded(Colour::blue) == bytes_of({2}));
    CHECK(encoded(std::string{"hi"}) == bytes_of({2, 0, 0, 0, 'h', 'i'}));
    CHECK(encoded(std::vector<std::uint16_t>{1, 2}) == bytes_of({2, 0, 0, 0, 1, 0, 2, 0}));
    CHECK(encoded(std::optional<std::uint8_t>{}) == bytes_of({0}));
    CHECK(encoded(std::optional<std::uint8_t>{9}) == bytes_of({1, 9}));
    CHECK(encoded(std::variant<bool, std::uint8_t>{std::uint8_t{9}}) == bytes_of({1, 9}));
    CHECK(encoded(Padded{'c', 1}) == bytes_of({'c', 1, 0, 0, 0}));
    CHECK(encoded(std::tuple<char, bool>{'c', true}) == bytes_of({'c', 1}));
    CHECK(encoded(std::bitset<9>{0x103}) == bytes_of({3, 1}));
    CHECK(encoded(Empty{}).empty());
}

TEST_CASE("encoding appends to what is there") {
    Buffer buffer;
    buffer.append("ab", 2);
    encode(std::uint8_t{7}, buffer);
    encode(std::string(1000, 'x'), buffer);
    CHECK(buffer.size() == 2 + 1 + 4 + 1000);
    CHECK(buffer.data()[0] == std::byte{'a'});
    CHECK(buffer.data()[2] == std::byte{7});
    CHECK(buffer.data()[buffer.size() - 1] == std::byte{'x'});
}

TEST_CASE("values that are never written are refused") {
    bool boolean = false;
    CHECK(decoded(bytes_of({2}), boolean) == Errc::bad_message);
    Flag flag{};
    CHECK(decoded(bytes_of({2}), flag) == Errc::bad_message);
    std::optional<int> optional;
    CHECK(decoded(bytes_of({2, 0, 0, 0, 0}), optional) == Errc::bad_message);
    std::unique_ptr<int> pointer;
    CHECK(decoded(bytes_of({255, 0, 0, 0, 0}), pointer) == Errc::bad_message);
    std::variant<int, char> variant;
    CHECK(decoded(bytes_of({2, 0, 0, 0, 0}), variant) == Errc::bad_message);
    std::vector<bool> bits;
    CHECK(decoded(bytes_of({1, 0, 0, 0, 3}), bits) == Errc::bad_message);
    std::bitset<3> bitset;
    CHECK(decoded(bytes_of({8}), bitset) == Errc::bad_message);
}

TEST_CASE("keys that come twice or out of order are refused") {
    const auto as = [](std::vector<std::uint8_t> keys) { return encoded(keys); };
    std::set<std::uint8_t> set;
    CHECK_FALSE(decoded(as({1, 2, 3}), set));
    CHECK(decoded(as({1, 2, 2}), set) == Errc::bad_message);
    CHECK(decoded(as({2, 1}), set) == Errc::bad_message);
    std::multiset<std::uint8_t> multiset;
    CHECK_FALSE(decoded(as({1, 2, 2}), multiset));
    CHECK(decoded(as({2, 1}), multiset) == Errc::bad_message);
    std::unordered_set<std::uint8_t> unordered;
    CHECK_FALSE(decoded(as({2, 1}), unordered));
    CHECK(decoded(as({2, 1, 2}), unordered) == Errc::bad_message);
    std::unordered_multiset<std::uint8_t> bag;
    CHECK_FALSE(decoded(as({2, 1, 2}), bag));
    std::map<std::uint8_t, Empty> map;
    CHECK(decoded(as({1, 1}), map) == Errc::bad_message);
    std::unordered_map<std::uint8_t, Empty> hashed;
    CHECK(decoded(as({1, 1}), hashed) == Errc::bad_message);
}

// A length of 2^32 - 1 before nothing. Were it believed, the allocation would be refused or the test would never end.
TEST_CASE_TEMPLATE("a huge length is refused before anything is allocated", T, std::string, std::wstring,
                   std::vector<char>, std::vector<int>, std::vector<bool>, std::vector<Empty>,
                   std::vector<std::tuple<>>, std::vector<std::array<int, 0>>, std::vector<std::vector<int>>,
                   std::vector<Account>, std::deque<int>, std::list<Empty>, std::set<int>, std::unordered_set<int>,
                   std::map<int, int>, std::unordered_map<int, Empty>, std::filesystem::path, Nest) {
    T value;
    CHECK(decoded(bytes_of({255, 255, 255, 255}), value));
    CHECK(decoded(bytes_of({255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0}), value));
}

TEST_CASE("the memory that a message takes is limited, not only its length") {
    // Each element takes one byte of the message and 4 KiB of memory.
    using Large = std::optional<std::array<char, 4096>>;
    std::vector<Large> value;
    CHECK(decoded(encoded(std::vector<bool>(10'000, false)), value) == Errc::message_too_large);
    CHECK(decoded(encoded(std::vector<bool>(100, false)), value) == std::error_code{});
    CHECK(value.size() == 100);

    // Elements that take no bytes at all.
    std::vector<Empty> empties;
    CHECK(decoded(bytes_of({0, 0, 0, 2}), empties) == Errc::message_too_large);
    CHECK_FALSE(decoded(bytes_of({0, 1, 0, 0}), empties));
    CHECK(empties.size() == 256);

    // The limit is for the whole message: many containers share it.
    std::vector<std::vector<Empty>> many;
    Bytes bytes = bytes_of({40, 0, 0, 0});
    for (int i = 0; i != 40; ++i) bytes.insert(bytes.end(), {std::byte{0}, std::byte{0}, std::byte{16}, std::byte{0}});
    CHECK(decoded(bytes, many) == Errc::message_too_large);
}

TEST_CASE("the limit of bytes holds in both directions") {
    const std::string text(1000, 'x');
    Buffer buffer;
    buffer.append("kept", 4);
    CHECK_THROWS_WITH_AS(encode(text, buffer, {.bytes = 1003}), doctest::Contains("message exceeds the size limit"),
                         std::system_error);
    CHECK(buffer.size() == 4);
    encode(text, buffer, {.bytes = 1004});
    CHECK(buffer.size() == 4 + 1004);

    std::string copy;
    CHECK(decoded(encoded(text), copy, {.bytes = 1003}) == Errc::message_too_large);
    CHECK_FALSE(decoded(encoded(text), copy, {.bytes = 1004}));

    buffer.clear();
    CHECK_THROWS_AS(encode(std::vector<std::string>(2000, std::string(10'000, 'x')), buffer), std::system_error);
    CHECK(buffer.empty());
}

TEST_CASE("what one side may send by default, the other may receive") {
    const std::size_t limit = SerializeLimits{}.bytes;
    for (const std::size_t count : {limit / 8, limit / 32, limit / 40, limit / 72, limit / 80, limit / 4096}) {
        for (const std::size_t near : {count - 1, count, count + 1}) {
            Buffer buffer;
            try {
                encode(std::vector<std::string>(near), buffer);
            } catch (const std::system_error& error) {
                CHECK(error.code() == Errc::message_too_large);
                continue;
            }
            std::vector<std::string> copy;
            CHECK_FALSE(decode(buffer.bytes(), copy));
        }
    }
}

Link links(int count) {
    Link first;
    for (; count != 0; --count) {
        Link longer;
        longer.next = std::make_unique<Link>(std::move(first));
        first = std::move(longer);
    }
    return first;
}

TEST_CASE("depth is limited in both directions") {
    Buffer buffer;
    buffer.append("kept", 4);
    encode(links(64), buffer);
    const std::size_t size = buffer.size();
    CHECK_THROWS_WITH_AS(encode(links(65), buffer), doctest::Contains("nesting limit"), std::system_error);
    CHECK(buffer.size() == size);
    encode(links(65), buffer, {.depth = 65});

    Link link;
    CHECK_FALSE(decoded(encoded(links(64)), link));
    Bytes deeper(66, std::byte{1});
    deeper.back() = std::byte{0};
    CHECK(decoded(deeper, link) == Errc::nested_too_deep);
    CHECK_FALSE(decoded(deeper, link, {.depth = 65}));
    CHECK(decoded(Bytes(1'000'000, std::byte{1}), link) == Errc::nested_too_deep);
}

TEST_CASE("depth counts containers and classes with a serialize function") {
    Bytes bytes;
    for (int i = 0; i != 1000; ++i) bytes.insert(bytes.end(), {std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0}});
    Nest nest;
    CHECK(decoded(bytes, nest) == Errc::nested_too_deep);

    Chain chain;
    chain.grow(63);
    Chain copy;
    CHECK_FALSE(decoded(encoded(chain), copy));
    CHECK(copy.length() == 63);
    Buffer buffer;
    chain.grow(64);
    CHECK_THROWS_AS(encode(chain, buffer), std::system_error);
    CHECK(decoded(Bytes(1000, std::byte{1}), copy) == Errc::nested_too_deep);
}

TEST_CASE("depth is that of the value at its deepest, not of all its parts") {
    std::vector<std::vector<std::vector<std::string>>> wide(100, {{"a"}, {"b"}});
    const SerializeLimits limits{.depth = 2};
    Buffer buffer;
    encode(wide, buffer, limits);
    std::vector<std::vector<std::vector<std::string>>> copy;
    CHECK_FALSE(decode(buffer.bytes(), copy, limits));
    CHECK(decode(buffer.bytes(), copy, {.depth = 1}) == Errc::nested_too_deep);
    CHECK_FALSE(decode(encoded(std::vector<int>{1}), *std::make_unique<std::vector<int>>(), {.depth = 0}));
}

TEST_CASE("a valueless variant is not sent") {
    std::variant<int, Thrower> variant;
    CHECK_THROWS(variant.emplace<1>(1));
    REQUIRE(variant.valueless_by_exception());
    Buffer buffer;
    CHECK_THROWS_AS(encode(variant, buffer), std::system_error);
    CHECK(buffer.empty());
}

/// Whatever is accepted is a value like any other: it can be compared, and sent again.
template <class T>
void check_any_bytes(const Bytes& bytes) {
    // One byte can make a million elements out of three, which take long and show nothing more.
    const SerializeLimits limits{.bytes = std::size_t{256} << 10};
    T value = T();
    const std::error_code error = decoded(bytes, value, limits);
    if (error) {
        REQUIRE((error == Errc::bad_message || error == Errc::message_too_large || error == Errc::nested_too_deep));
    } else {
        REQUIRE(encoded(value).size() == bytes.size());
    }
}

TEST_CASE("random bytes give a value or an error") {
    std::mt19937 random{20240607};
    for (int i = 0; i != 50'000; ++i) {
        Bytes bytes(random() % 200);
        // Small numbers are the ones that lead further than the first length.
        const unsigned range = i % 2 == 0 ? 256 : 3;
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() % range);
        check_any_bytes<Everything>(bytes);
        check_any_bytes<Tree>(bytes);
        check_any_bytes<HasCustom>(bytes);
        check_any_bytes<Odd>(bytes);
    }
}

TEST_CASE("an encoding with bytes changed gives a value or an error") {
    std::mt19937 random{7};
    Tree tree;
    tree.children.resize(3);
    tree.children[0].next = std::make_unique<Tree>();
    tree.named[1].others.emplace(2);
    const Bytes everything = encoded(sample());
    const Bytes recursive = encoded(tree);
    for (int i = 0; i != 15'000; ++i) {
        Bytes changed = i % 2 == 0 ? everything : recursive;
        for (auto n = 1 + random() % 3; n != 0; --n)
            changed[random() % changed.size()] = static_cast<std::byte>(random() % 256);
        if (i % 2 == 0) {
            check_any_bytes<Everything>(changed);
        } else {
            check_any_bytes<Tree>(changed);
        }
    }
}

TEST_CASE("equal shapes have equal hashes, whatever the names") {
    struct Same {
        int a;
        int b;
    };
    CHECK(schema_hash<Point>() == schema_hash<Same>());
    CHECK(schema_hash<Tree>() == schema_hash<Tree>());
    CHECK(schema_hash<std::vector<Point>>() == schema_hash<std::deque<Same>>());
    CHECK(schema_hash<std::vector<Point>>() == schema_hash<std::list<Same>>());
    CHECK(schema_hash<std::byte>() == schema_hash<Colour>());
    CHECK(schema_hash<long>() == schema_hash<long long>());
    static_assert(schema_hash<Everything>() != 0);
}

template <class... T>
void check_all_differ() {
    const std::set<std::uint64_t> hashes{schema_hash<T>()...};
    CHECK(hashes.size() == sizeof...(T));
}

struct Three {
    int x, y, z;
};
struct Swapped {
    int x;
    std::string y;
};
struct Unswapped {
    std::string x;
    int y;
};
struct InnerFirst {
    Point p;
    int z;
};
struct InnerLast {
    int x;
    Point p;
};
struct LinkByVector {
    std::vector<LinkByVector> next;
};
struct LinkTwice {
    std::unique_ptr<LinkTwice> next;
    std::unique_ptr<LinkTwice> last;
};

TEST_CASE("a difference in structure is a difference in the hash") {
    check_all_differ<bool, char, signed char, unsigned char, short, int, unsigned, long, unsigned long, float, double,
                     std::byte, Unscoped, Flag, std::string, std::wstring, std::vector<char>, std::vector<bool>,
                     std::vector<int>, std::vector<unsigned>, std::array<int, 2>, std::array<int, 3>, std::set<int>,
                     std::multiset<int>, std::unordered_set<int>, std::map<int, int>, std::map<int, unsigned>,
                     std::unordered_map<int, int>, std::multimap<int, int>, std::unordered_multimap<int, int>,
                     std::unordered_multiset<int>, std::optional<int>, std::unique_ptr<int>, std::variant<int>,
                     std::variant<int, bool>, std::variant<bool, int>, std::tuple<>, std::tuple<int>,
                     std::tuple<int, int>, std::tuple<std::tuple<int>, int>, std::tuple<int, std::tuple<int>>,
                     std::chrono::seconds, std::chrono::milliseconds, std::chrono::duration<double>,
                     std::chrono::system_clock::time_point, std::chrono::steady_clock::time_point,
                     std::filesystem::path, std::bitset<3>, std::bitset<4>, Empty, Point, Three, Swapped, Unswapped,
                     InnerFirst, InnerLast, Arrays, Link, LinkByVector, LinkTwice, Tree, Odd, Even, Account, Tally>();
}

struct Lookalike {
    using string_type = std::string;
    using value_type = char;
    [[maybe_unused]] static constexpr char preferred_separator = '/';
    std::string text;
    const std::string& native() const { return text; }
    Lookalike lexically_normal() const { return *this; }
    static void serialize(auto& archive, auto& self) { archive(self.text); }
    bool operator==(const Lookalike&) const = default;
};

struct NativeText {
    std::string text;
    const std::string& native() const { return text; }
    bool operator==(const NativeText&) const = default;
};

TEST_CASE("a class that looks like a path is still what its author made of it") {
    check_round_trip(Lookalike{"/a"});
    check_round_trip(NativeText{"/a"});
    check_all_differ<Lookalike, NativeText, std::filesystem::path>();
}

struct ListOfNames {
    std::vector<std::string> names;
    std::string& emplace_front() { return *names.emplace(names.begin()); }
    void resize(std::size_t size) { names.resize(size); }
    std::size_t size() const { return names.size(); }
    bool operator==(const ListOfNames&) const = default;
};

struct Keys {
    using key_type = std::string;
    using allocator_type = std::allocator<std::string>;
    std::vector<std::string> names;
    bool operator==(const Keys&) const = default;
};

template <class... T>
struct Either {
    std::optional<T...> one;
    bool valueless_by_exception() const { return !one; }
    bool operator==(const Either&) const = default;
};

template <std::size_t N>
struct Bits {
    unsigned long long value;
    unsigned long long to_ullong() const { return value; }
    bool operator==(const Bits&) const = default;
};

TEST_CASE("a class that looks like one of the standard library is still what its author made of it") {
    check_round_trip(ListOfNames{{"a", "b"}});
    check_round_trip(Keys{{"a", "b"}});
    check_round_trip(Either<int>{1});
    check_round_trip(Bits<3>{~0ULL});
    check_all_differ<ListOfNames, std::list<std::string>, std::set<std::string>, Either<int>, std::variant<int>,
                     Bits<64>, std::bitset<64>>();
    CHECK(schema_hash<ListOfNames>() == schema_hash<Keys>());
}

TEST_CASE("what can be a message and what cannot") {
    struct Pointer {
        int* p;
    };
    struct View {
        std::string_view v;
    };
    struct Const {
        const int c = 0;
    };
    struct Derived : Point {
        int z;
    };
    struct Locked {
        std::mutex mutex;
    };
    class Hidden {
        [[maybe_unused]] int hidden_ = 0;
    };
    CHECK(Serializable<int>);
    CHECK(Serializable<Everything>);
    CHECK(Serializable<Tree>);
    CHECK(Serializable<Link>);
    CHECK(Serializable<HasCustom>);
    CHECK(Serializable<std::map<std::string, std::vector<std::unique_ptr<Tree>>>>);
    CHECK_FALSE(Serializable<int*>);
    CHECK_FALSE(Serializable<int&>);
    CHECK_FALSE(Serializable<const char*>);
    CHECK_FALSE(Serializable<std::nullptr_t>);
    CHECK_FALSE(Serializable<Pointer>);
    CHECK_FALSE(Serializable<View>);
    CHECK_FALSE(Serializable<Const>);
    CHECK_FALSE(Serializable<Derived>);
    CHECK_FALSE(Serializable<Locked>);
    CHECK_FALSE(Serializable<Hidden>);
    CHECK_FALSE(Serializable<std::vector<Hidden>>);
    CHECK_FALSE(Serializable<std::span<int>>);
    CHECK_FALSE(Serializable<std::shared_ptr<int>>);
    CHECK_FALSE(Serializable<std::unique_ptr<int[]>>);
    CHECK_FALSE(Serializable<std::function<void()>>);
    CHECK_FALSE(Serializable<std::tuple<int, int&>>);
    CHECK_FALSE(Serializable<std::mutex>);
    CHECK_FALSE(Serializable<void>);
}

} // namespace

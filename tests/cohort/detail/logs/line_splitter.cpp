// SPDX-License-Identifier: MIT
#include <cohort/detail/logs/line_splitter.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace cohort::detail;

namespace {

/// The lines of the stream, "+" behind those that go on.
struct Lines {
    void add(const std::optional<Line>& line) { all.push_back(std::string(line->text) + (line->goes_on ? "+" : "")); }

    std::vector<std::string> all;
};

std::vector<std::string> split(const std::vector<std::string_view>& pieces, std::size_t longest) {
    LineSplitter splitter(longest);
    Lines lines;
    for (const auto piece : pieces) {
        splitter.feed(piece);
        while (const auto line = splitter.next()) lines.add(line);
    }
    if (const auto line = splitter.rest()) lines.add(line);
    return lines.all;
}

struct Case {
    std::string_view stream;
    std::vector<std::string> lines;
};

constexpr std::size_t longest = 8;

const std::vector<Case> cases = {
    {"", {}},
    {"\n", {""}},
    {"one\n", {"one"}},
    {"one", {"one"}},
    {"one\ntwo\n", {"one", "two"}},
    {"\n\none\n\n", {"", "", "one", ""}},
    {"one\r\ntwo", {"one\r", "two"}},
    {{"a\0b\n\0", 5}, {{"a\0b", 3}, {"\0", 1}}},
    {"12345678\n", {"12345678"}},
    {"12345678", {"12345678"}},
    {"123456789\n", {"12345678+", "9"}},
    {"1234567812345678\n", {"12345678+", "12345678"}},
    {"12345678123456789\nx\n", {"12345678+", "12345678+", "9", "x"}},
    // Characters of several bytes stay whole, and what is none does not hold anything up.
    {"1234567\xc3\xa9\n", {"1234567+", "\xc3\xa9"}},
    {"123456\xc3\xa9z\n", {"123456\xc3\xa9+", "z"}},
    {"123456\xe2\x82\xac\n", {"123456+", "\xe2\x82\xac"}},
    {"12345\xf0\x9f\x98\x80z\n", {"12345+", "\xf0\x9f\x98\x80z"}},
    {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\n", {"\x80\x80\x80\x80\x80\x80\x80\x80+", "\x80"}},
};

} // namespace

TEST_CASE("the lines of a stream are the same, wherever it is cut") {
    for (const auto& [stream, lines] : cases) {
        CAPTURE(stream);
        CHECK(split({stream}, longest) == lines);
        for (std::size_t first = 0; first <= stream.size(); ++first)
            for (std::size_t second = first; second <= stream.size(); ++second)
                CHECK(split({stream.substr(0, first), stream.substr(first, second - first), stream.substr(second)},
                            longest) == lines);
        std::vector<std::string_view> bytes;
        for (std::size_t i = 0; i != stream.size(); ++i) bytes.push_back(stream.substr(i, 1));
        CHECK(split(bytes, longest) == lines);
    }
}

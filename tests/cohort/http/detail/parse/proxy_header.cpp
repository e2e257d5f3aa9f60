// SPDX-License-Identifier: MIT
// PROXY headers, right and wrong, whole and byte by byte.
#include <cohort/http/detail/parse/proxy_header.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using cohort::http::detail::ProxyHeader;
using namespace std::string_literals;

namespace {

/// The address and what was left of the input, or why not.
std::string read(std::string_view input, std::size_t piece) {
    ProxyHeader header;
    while (!input.empty() && !header.done()) {
        const auto step = header.take(input.substr(0, piece));
        if (step.malformed) return "malformed";
        input.remove_prefix(step.consumed);
    }
    if (!header.done()) return "incomplete";
    return header.address() + "|" + std::string{input};
}

std::string binary(char command, char family, std::string_view rest) {
    return "\r\n\r\n\0\r\nQUIT\n"s + command + family + static_cast<char>(rest.size() >> 8) +
           static_cast<char>(rest.size() & 255) + std::string{rest};
}

const std::string v4 = "\xc0\x00\x02\x01\x0a\x00\x00\x01\x1f\x90\x00\x50"s;
const std::string v6 =
    "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01" + std::string(16, '\0') + "\x00\x01\x00\x50"s;

struct Row {
    const char* rule;
    std::string input;
    std::string wanted;
};

} // namespace

TEST_CASE("a PROXY header tells the client's address, and takes no byte of what follows") {
    const std::string line = "PROXY TCP4 192.0.2.1 10.0.0.1 8080 80\r\n";
    const std::vector<Row> rows{
        {"version 1", line + "GET", "192.0.2.1|GET"},
        {"version 1, IPv6", "PROXY TCP6 2001:db8::1 ::1 8080 80\r\n", "2001:db8::1|"},
        {"unknown", "PROXY UNKNOWN\r\nGET", "|GET"},
        {"unknown, with more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "|"},
        {"version 2", binary('\x21', '\x11', v4) + "GET", "192.0.2.1|GET"},
        {"version 2, IPv6", binary('\x21', '\x21', v6) + "G", "2001:db8::1|G"},
        {"version 2 with further values", binary('\x21', '\x11', v4 + "\x04\x00\x01x"s) + "GET", "192.0.2.1|GET"},
        {"version 2 with many", binary('\x21', '\x11', v4 + std::string(60'000, 'v')) + "GET", "192.0.2.1|GET"},
        {"version 2, the proxy's own", binary('\x20', '\x00', "") + "GET", "|GET"},
        {"version 2, the proxy's own with an address", binary('\x20', '\x11', v4), "|"},
        {"version 2, of no family", binary('\x21', '\x00', "abc") + "GET", "|GET"},
        {"version 2, Unix socket", binary('\x21', '\x31', std::string(216, 'p')), "unix:|"},
        {"not finished", line.substr(0, 20), "incomplete"},
        {"a request without a header", "GET / HTTP/1.1\r\n", "malformed"},
        {"lower case", "proxy TCP4 192.0.2.1 10.0.0.1 8080 80\r\n", "malformed"},
        {"another family", "PROXY UDP4 192.0.2.1 10.0.0.1 8080 80\r\n", "malformed"},
        {"an address of the other family", "PROXY TCP4 ::1 ::1 8080 80\r\n", "malformed"},
        {"no address", "PROXY TCP4 host 10.0.0.1 8080 80\r\n", "malformed"},
        {"an address with a NUL", std::string("PROXY TCP4 192.0.2.1\0x 10.0.0.1 8080 80\r\n", 41), "malformed"},
        {"a port too large", "PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n", "malformed"},
        {"a port with a zero in front", "PROXY TCP4 192.0.2.1 10.0.0.1 080 80\r\n", "malformed"},
        {"no port", "PROXY TCP4 192.0.2.1 10.0.0.1 80\r\n", "malformed"},
        {"one more part", "PROXY TCP4 192.0.2.1 10.0.0.1 8080 80 1\r\n", "malformed"},
        {"two spaces", "PROXY TCP4  192.0.2.1 10.0.0.1 8080 80\r\n", "malformed"},
        {"bare LF", "PROXY UNKNOWN\n", "malformed"},
        {"a line without end", "PROXY UNKNOWN " + std::string(200, 'x'), "malformed"},
        {"another version", binary('\x31', '\x11', v4), "malformed"},
        {"another command", binary('\x22', '\x11', v4), "malformed"},
        {"another binary family", binary('\x21', '\x41', v4), "malformed"},
        {"addresses cut short", binary('\x21', '\x21', v4), "malformed"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.rule);
        CHECK(read(row.input, row.input.size()) == row.wanted);
        CHECK(read(row.input, 1) == row.wanted);
        CHECK(read(row.input, 7) == row.wanted);
    }
}

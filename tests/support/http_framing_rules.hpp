// SPDX-License-Identifier: MIT
// The rules of where a body ends, one row for each item. Numbers are sections of RFC 9112, or 8.6 of RFC 9110.
#pragma once

#include "http_rule.hpp"

#include <span>
#include <string_view>

namespace test {

inline std::span<const HttpRule> length_rules() {
    using enum Form;
    using namespace std::string_view_literals;
    static constexpr HttpRule rules[] = {
        {"6.3 digits", length, " 3", "3 <abc>;"},
        {"6.3 no space", length, "3", "3 <abc>;"},
        {"6.3 white space before", length, " \t 3", "3 <abc>;"},
        {"6.3 spaces behind", length, " 3  ", "3 <abc>;"},
        {"6.3 tab behind", length, " 3\t"},
        {"6.3 leading zeros", length, " 0003", "0003 <abc>;"},
        {"6.3 many leading zeros", length, " 000000000000000000000000000003", "000000000000000000000000000003 <abc>;"},
        {"6.3 less than there is", length, " 2", "2 <ab>;"},
        {"6.3 zero, and rubbish behind", stream, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nabc\n",
         "POST /|Host=h|Content-Length=0;!400"},
        {"6.3 zero, and another request", stream,
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
         "POST /|Host=h|Content-Length=0;GET /|Host=h;"},
        {"6.3 with a method that has no use for it", stream,
         "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "GET /|Host=h|Content-Length=3 <abc>;"},
        {"6.3 in 1.0", stream, "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
         "POST /|Content-Length=3 close <abc>;"},
        {"6.3 a POST without it has no body", stream, "POST / HTTP/1.1\r\nHost: h\r\n\r\n", "POST /|Host=h;"},
        {"8 the stream ends inside the body", length, " 5", "5", 0, 400},
        {"8.6 plus", length, " +3"},
        {"8.6 minus", length, " -3"},
        {"8.6 minus zero", length, " -0"},
        {"8.6 list", length, " 3, 3"},
        {"8.6 list without a space", length, " 3,3"},
        {"8.6 list of different ones", length, " 3, 4"},
        {"8.6 a comma behind", length, " 3,"},
        {"8.6 a comma in front", length, " ,3"},
        {"8.6 semicolon", length, " 3;a"},
        {"8.6 hexadecimal", length, " 0x3"},
        {"8.6 hexadecimal digit", length, " a"},
        {"8.6 underscore", length, " 3_0"},
        {"8.6 exponent", length, " 3e0"},
        {"8.6 fraction", length, " 3.0"},
        {"8.6 quotes", length, " \"3\""},
        {"8.6 empty", length, ""},
        {"8.6 only white space", length, " \t"},
        {"8.6 inner space", length, " 3 3"},
        {"8.6 inner tab", length, " 3\t3"},
        {"8.6 vertical tab", length, " \v3"},
        {"8.6 NUL", length, " 3\0"sv},
        {"8.6 another script's digit", length, " \xd9\xa3"},
        {"8.6 folded", length, "\r\n 3"},
        {"8.6 2^64", length, " 18446744073709551616"},
        {"8.6 2^64 + 3", length, " 18446744073709551619"},
        {"8.6 far more", length, " 99999999999999999999999999999999999999"},
        {"6.3 repeated", length, " 3\r\nContent-Length: 3"},
        {"6.3 repeated in another case, with another value", length, " 3\r\nA: b\r\ncontent-length: 4"},
        {"6.3 repeated, one empty", length, " 3\r\nContent-Length:"},
        {"6.3 repeated in 1.0", stream, "POST / HTTP/1.0\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"},
    };
    return rules;
}

inline std::span<const HttpRule> coding_rules() {
    using enum Form;
    using namespace std::string_view_literals;
    static constexpr HttpRule rules[] = {
        {"6.1 chunked", coding, " chunked", "chunked;"},
        {"6.1 no space", coding, "chunked", "chunked;"},
        {"7 any case", coding, " cHuNkEd", "cHuNkEd;"},
        {"6.1 with a method that has no use for it", stream,
         "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "GET /|Host=h|Transfer-Encoding=chunked;"},
        {"6.1 another coding", coding, " gzip", "!501"},
        {"6.1 identity", coding, " identity", "!501"},
        {"6.1 one more letter", coding, " chunkedx", "!501"},
        {"6.1 one letter less", coding, " chunke", "!501"},
        {"6.3 in 1.0", stream, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {"6.3 another coding in 1.0", stream, "POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"},
        {"6.3 with Content-Length", coding, " chunked\r\nContent-Length: 3"},
        {"6.3 behind Content-Length", length, " 3\r\nTransfer-Encoding: chunked"},
        {"6.3 with Content-Length of zero", coding, " chunked\r\nContent-Length: 0"},
        {"6.3 another coding with Content-Length", coding, " identity\r\nContent-Length: 3"},
        {"6.1 list", coding, " gzip, chunked"},
        {"6.1 chunked is not the last", coding, " chunked, gzip"},
        {"6.1 chunked twice in a list", coding, " chunked, chunked"},
        {"6.1 list with nothing before", coding, " ,chunked"},
        {"6.1 list with nothing behind", coding, " chunked,"},
        {"6.1 repeated", coding, " chunked\r\nTransfer-Encoding: chunked"},
        {"6.1 repeated in another case", coding, " chunked\r\ntransfer-encoding: identity"},
        {"6.1 repeated, the first another", coding, " identity\r\nTransfer-Encoding: chunked"},
        {"6.1 repeated, one empty", coding, "\r\nTransfer-Encoding: chunked"},
        {"6.1 empty", coding, ""},
        {"6.1 only white space", coding, " "},
        {"7 parameter", coding, " chunked;a=b"},
        {"7 empty parameter", coding, " chunked;"},
        {"7 quotes", coding, " \"chunked\""},
        {"two spaces before", coding, "  chunked"},
        {"space behind", coding, " chunked "},
        {"tab before", coding, "\tchunked"},
        {"tab behind", coding, " chunked\t"},
        {"vertical tab before", coding, " \vchunked"},
        {"form feed behind", coding, " chunked\f"},
        {"space inside", coding, " chun ked"},
        {"folded", coding, "\r\n chunked"},
        {"folded behind", coding, " chunked\r\n "},
        {"NUL behind", coding, " chunked\0"sv},
        {"octet above 0x7f", coding,
         " \xa0"
         "chunked"},
    };
    return rules;
}

inline std::span<const HttpRule> chunk_rules() {
    using enum Form;
    using namespace std::string_view_literals;
    static constexpr HttpRule rules[] = {
        {"7.1 none", chunked, "0\r\n\r\n", ";"},
        {"7.1 two", chunked, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", " <abcde>;"},
        {"7.1 hexadecimal in both cases", chunked, "A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n",
         " <01234567890123456789>;"},
        {"7.1 16 digits", chunked, "0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", " <abc>;"},
        {"7.1 data that looks like framing", chunked, "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", " <\r\n0\r\n\r\n>;"},
        {"7.1.1 extensions", chunked, "3;a=b;c=\"d e\";f\r\nabc\r\n0;g\r\n\r\n", " <abc>;"},
        {"7.1.2 trailers are dropped", chunked, "3\r\nabc\r\n0\r\nA: b\r\nHost: x\r\n\r\n", " <abc>;"},
        {"7.1.2 trailers cannot frame", chunked, "0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", ";"},
        {"7.1 next request", chunked, "0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", ";GET /|Host=h;"},
        {"8 the stream ends before a size", chunked, "3\r\nabc\r\n", "", 0, 400},
        {"8 the stream ends inside a chunk", chunked, "3\r\nab", "", 0, 400},
        {"8 the stream ends inside the last line", chunked, "0\r\n", "", 0, 400},
        {"7.1 no size", chunked, "\r\nabc\r\n", "!400"},
        {"7.1 no size before an extension", chunked, ";a\r\nabc\r\n", "!400"},
        {"7.1 not hexadecimal", chunked, "g\r\n", "!400"},
        {"7.1 a letter behind the digits", chunked, "3g\r\nabc\r\n", "!400"},
        {"7.1 0x", chunked, "0x3\r\nabc\r\n", "!400"},
        {"7.1 h behind", chunked, "3h\r\nabc\r\n", "!400"},
        {"7.1 plus", chunked, "+3\r\nabc\r\n", "!400"},
        {"7.1 minus", chunked, "-3\r\nabc\r\n", "!400"},
        {"7.1 minus zero", chunked, "-0\r\n\r\n", "!400"},
        {"7.1 underscore", chunked, "0_3\r\nabc\r\n", "!400"},
        {"7.1 comma", chunked, "3,\r\nabc\r\n", "!400"},
        {"7.1 quotes", chunked, "\"3\"\r\nabc\r\n", "!400"},
        {"7.1 space before the size", chunked, " 3\r\nabc\r\n", "!400"},
        {"7.1 space behind the size", chunked, "3 \r\nabc\r\n", "!400"},
        {"7.1 tab behind the size", chunked, "3\t\r\nabc\r\n", "!400"},
        {"7.1 space before an extension", chunked, "3 ;a\r\nabc\r\n", "!400"},
        {"7.1 NUL behind the size", chunked, "3\0\r\nabc\r\n"sv, "!400"},
        {"7.1 17 digits", chunked, "00000000000000003\r\nabc\r\n", "!400"},
        {"7.1 2^64 + 3", chunked, "10000000000000003\r\nabc\r\n", "!400"},
        {"7.1 bare LF behind the size", chunked, "3\nabc\r\n", "!400"},
        {"7.1 bare CR behind the size", chunked, "3\rabc\r\n", "!400"},
        {"7.1 CR CR LF behind the size", chunked, "3\r\r\nabc\r\n", "!400"},
        {"7.1 data longer than its size", chunked, "3\r\nabcd\r\n", "!400"},
        {"7.1 data shorter than its size", chunked, "3\r\nab\r\n0\r\n\r\n", "!400"},
        {"7.1 nothing behind the data", chunked, "3\r\nabc0\r\n\r\n", "!400"},
        {"7.1 bare LF behind the data", chunked, "3\r\nabc\n0\r\n\r\n", "!400"},
        {"7.1 bare CR behind the data", chunked, "3\r\nabc\r0\r\n\r\n", "!400"},
        {"7.1 two other octets behind the data", chunked, "3\r\nabcXX0\r\n\r\n", "!400"},
        {"7.1 LF CR behind the data", chunked, "3\r\nabc\n\r0\r\n\r\n", "!400"},
        {"7.1 bare LF behind the last size", chunked, "0\n\r\n", "!400"},
        {"7.1 bare LF at the end", chunked, "0\r\n\n", "!400"},
        {"7.1 bare CR at the end", chunked, "0\r\n\rx", "!400"},
        {"7.1.1 bare LF in an extension", chunked, "3;a\nabc\r\n", "!400"},
        {"7.1.1 bare CR in an extension", chunked, "3;a\rb\r\nabc\r\n", "!400"},
        {"7.1.1 NUL in an extension", chunked, "3;a\0\r\nabc\r\n"sv, "!400"},
        {"7.1.1 control in an extension", chunked, "3;a\x01\r\nabc\r\n", "!400"},
        {"7.1.2 folded trailer", chunked, "0\r\nA: b\r\n c\r\n\r\n", "!400"},
        {"7.1.2 trailer without a colon", chunked, "0\r\nA\r\n\r\n", "!400"},
        {"7.1.2 trailer without a name", chunked, "0\r\n: b\r\n\r\n", "!400"},
        {"7.1.2 trailer with a space before the colon", chunked, "0\r\nA : b\r\n\r\n", "!400"},
        {"7.1.2 trailer with a space in front", chunked, "0\r\n A: b\r\n\r\n", "!400"},
        {"7.1.2 control in a trailer", chunked, "0\r\nA: \x01\r\n\r\n", "!400"},
        {"7.1.2 NUL in a trailer", chunked, "0\r\nA: \0\r\n\r\n"sv, "!400"},
        {"7.1.2 bare LF behind a trailer", chunked, "0\r\nA: b\n\r\n", "!400"},
        {"7.1.2 bare CR in a trailer", chunked, "0\r\nA: b\rc\r\n\r\n", "!400"},
    };
    return rules;
}

} // namespace test

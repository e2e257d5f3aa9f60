// SPDX-License-Identifier: MIT
// All rules of HTTP/1.1 by section; here the limits, and the published ways to have two readers disagree.
#pragma once

#include "http_framing_rules.hpp"
#include "http_head_rules.hpp"
#include "http_rule.hpp"

#include <array>
#include <span>
#include <string_view>

namespace test {

inline std::span<const HttpRule> limit_rules() {
    using enum Form;
    static constexpr HttpRule rules[] = {
        {"3 a target of 8000 octets", line, "GET /~ HTTP/1.1", "GET /~|Host=h;", 7999},
        {"target at the default limit", line, "GET /~ HTTP/1.1", "GET /~|Host=h;", 16383},
        {"target past the default limit", line, "GET /~ HTTP/1.1", "!414", 16384},
        {"target at the limit", line, "GET /~ HTTP/1.1", "GET /~|Host=h;", 63, 0, true},
        {"target past the limit", line, "GET /~ HTTP/1.1", "!414", 64, 0, true},
        {"target far past the limit", line, "GET /~ HTTP/1.1", "!414", 300, 0, true},
        {"endless target", stream, "GET /~", "!414", 1000, 0, true},
        {"endless method", stream, "~", "!414", 1000, 0, true},
        {"what is malformed past the limit is 414 still", stream, "GET /~\x01", "!414", 300, 0, true},
        {"what is malformed before the limit is 400", stream, "GET /\x01~", "!400", 300, 0, true},
        {"5.4 field at the limit", fields, "A: ~\r\n", "|A=~;", 123, 0, true},
        {"5.4 field past the limit", fields, "A: ~\r\n", "!431", 126, 0, true},
        {"5.4 name past the limit", fields, "~: b\r\n", "!431", 126, 0, true},
        {"5.4 endless field", fields, "A: ~", "!431", 900, 0, true},
        {"5.4 as many fields as allowed", fields, "A: 1\r\nB: 2\r\n", "|A=1|B=2;", 0, 0, true},
        {"5.4 too many fields", fields, "A: 1\r\nB: 2\r\nC: 3\r\n", "!431", 0, 0, true},
        {"5.4 fields at the default limit of one", fields, "A: ~\r\n", "|A=~;", 16000},
        {"5.4 fields past the default limit of one", fields, "A: ~\r\n", "!431", 16384},
        {"5.4 head at the default limit", fields, "A: ~\r\nB: b\r\n", "|A=~|B=b;", 16000},
        {"body at the limit", length, " 3", "3 <abc>;", 0, 0, true},
        {"body past the limit", length, " 1001", "!413", 0, 0, true},
        {"body past the default limit", length, " 1048577", "!413"},
        {"body far past it", length, " 18446744073709551615", "!413"},
        {"body past the limit, and the client asks first", length, " 1001\r\nExpect: 100-continue", "!413", 0, 0, true},
        {"7.1 one chunk past the limit", chunked, "3e9\r\n", "!413", 0, 0, true},
        {"7.1 chunks past the limit", chunked, "3\r\nabc\r\n3e6\r\n", "!413", 0, 0, true},
        {"7.1 chunk past the default limit", chunked, "100001\r\n", "!413"},
        {"7.1 chunk far past it", chunked, "ffffffffffffffff\r\n", "!413"},
        {"7.1 two chunks whose sum overflows", chunked, "1\r\na\r\nffffffffffffffff\r\n", "!413"},
        {"7.1.1 extension at the limit", chunked, "1;~\r\na\r\n0\r\n\r\n", " <a>;", 7, 0, true},
        {"7.1.1 extension past the limit", chunked, "1;~\r\na", "!413", 8, 0, true},
        {"7.1.1 extension at the default limit", chunked, "1;~\r\na\r\n0\r\n\r\n", " <a>;", 1023},
        {"7.1.1 extension past the default limit", chunked, "1;~", "!413", 1024},
        {"7.1.1 extensions past the limit of all", chunked, "1;aaaaaa\r\na\r\n1;aaaaaa\r\nb\r\n", "!413", 0, 0, true},
        {"7.1.2 trailers at the limit", chunked, "0\r\nA: ~\r\n\r\n", ";", 25, 0, true},
        {"7.1.2 trailers past the limit", chunked, "0\r\nA: ~\r\n\r\n", "!431", 40, 0, true},
        {"7.1.2 endless trailer name", chunked, "0\r\n~", "!431", 33, 0, true},
        {"7.1.2 trailers past the default limit", chunked, "0\r\nA: ~\r\n\r\n", "!431", 8192},
    };
    return rules;
}

/// "Inner" is the request that an attacker wants one of the two readers to see.
inline std::span<const HttpRule> smuggling_rules() {
    using enum Form;
    using namespace std::string_view_literals;
    static constexpr HttpRule rules[] = {
        {"CL.TE", stream,
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"},
        {"TE.CL", stream,
         "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
         "22\r\nGET /inner HTTP/1.1\r\nHost: h\r\n\r\n\r\n0\r\n\r\n"},
        {"TE.TE: two", coding, " chunked\r\nTransfer-Encoding: cow"},
        {"TE.TE: two, the second unknown in lower case", coding, " chunked\r\ntransfer-encoding: identity"},
        {"TE.TE: space before the colon", fields, "Transfer-Encoding : chunked\r\n"},
        {"TE.TE: tab before the colon", fields, "Transfer-Encoding\t: chunked\r\n"},
        {"TE.TE: NUL before the colon", fields, "Transfer-Encoding\0: chunked\r\n"sv},
        {"TE.TE: line end before the colon", fields, "Transfer-Encoding\r\n: chunked\r\n"},
        {"TE.TE: bare LF before the colon", fields, "Transfer-Encoding\n: chunked\r\n"},
        {"TE.TE: behind a bare LF", fields, "X: x\nTransfer-Encoding: chunked\r\n"},
        {"TE.TE: behind a bare CR", fields, "X: x\rTransfer-Encoding: chunked\r\n"},
        {"TE.TE: folded into another field", fields, "X: x\r\n Transfer-Encoding: chunked\r\n"},
        {"TE.TE: in front of the first field", stream,
         "POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: h\r\n\r\n"},
        {"TE.TE: two words in the name", fields, "Transfer Encoding: chunked\r\n"},
        {"TE.TE: an underscore is another name, and there is no body", fields, "Transfer_Encoding: chunked\r\n",
         "|Transfer_Encoding=chunked;"},
        {"TE.TE: a longer name is another one", fields, "X-Transfer-Encoding: chunked\r\n",
         "|X-Transfer-Encoding=chunked;"},
        {"TE.TE: an x in front", coding, " xchunked", "!501"},
        {"TE.TE: quotes", coding, " 'chunked'", "!501"},
        {"TE.TE: brackets", coding, " [chunked]"},
        {"TE.TE: a NUL in front", coding, " \0chunked"sv},
        {"TE.TE: an octet in front", coding,
         " \xff"
         "chunked"},
        {"TE.TE: a line end in front", coding, "\r\n\tchunked"},
        {"0.CL: the inner request is the body", stream,
         "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\nGET /inner HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET /|Host=h|Content-Length=31 <GET /inner HTTP/1.1\r\nHost: h\r\n\r>;!400"},
        {"CL.0: the inner request is the body", stream,
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 32\r\n\r\nGET /inner HTTP/1.1\r\nHost: h\r\n\r\n",
         "POST /|Host=h|Content-Length=32 <GET /inner HTTP/1.1\r\nHost: h\r\n\r\n>;"},
        {"CL.CL: two values", length, " 3\r\nContent-Length: 0"},
        {"CL.CL: a space before the colon hides one", length, " 3\r\nContent-Length : 0"},
        {"CL.CL: an empty line's place", length, " 3\r\n\r\r\nContent-Length: 0"},
        {"CL: 1.0 with both", stream,
         "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"},
        {"CL: named in Connection it counts all the same", length, " 3\r\nConnection: Content-Length",
         "3|Connection=Content-Length <abc>;"},
        {"chunk size that wraps to 3 in 64 bits", chunked, "10000000000000003\r\nabc\r\n0\r\n\r\n", "!400"},
        {"chunk size that wraps to 3 in 32 bits", chunked, "100000003\r\nabc\r\n0\r\n\r\n", "!413"},
        {"chunk size that ends in a NUL", chunked, "3\0\r\nabc\r\n0\r\n\r\n"sv, "!400"},
        {"TERM.EXT: bare LF ends a size line for one reader", chunked,
         "2;\nxx\r\n22\r\nGET /inner HTTP/1.1\r\nHost: h\r\n\r\n\r\n0\r\n\r\n", "!400"},
        {"EXT.TERM: bare CR ends a size line for one reader", chunked, "2;\rxx\r\n0\r\n\r\n", "!400"},
        {"TERM.SPILL: bare LF behind data", chunked, "5\r\nabcde\n2\r\nxy\r\n0\r\n\r\n", "!400"},
        {"SPILL.TERM: data spills over", chunked, "5\r\nabcdef\r\n0\r\n\r\n", "!400"},
        {"ONE.TWO: one octet behind data", chunked, "2\r\nxxX2\r\nyy\r\n0\r\n\r\n", "!400"},
        {"TWO.ONE: two octets behind data", chunked, "2\r\nxxXX2\r\nyy\r\n0\r\n\r\n", "!400"},
        {"ZERO.TWO: none behind data", chunked, "2\r\nxx2\r\nyy\r\n0\r\n\r\n", "!400"},
        {"extension that looks like the end", chunked, "1;0\r\na\r\n0\r\n\r\n", " <a>;"},
        {"quotes in an extension do not hold a line end", chunked, "1;a=\"\r\n\"\r\na\r\n0\r\n\r\n", "!400"},
        {"trailer that looks like a request", chunked, "0\r\nGET /inner HTTP/1.1\r\nHost: h\r\n\r\n", "!400"},
        {"trailer that forges a field", chunked, "1\r\na\r\n0\r\nAuthorization: x\r\nX-Forwarded-For: y\r\n\r\n",
         " <a>;"},
        {"Host: two", host, "Host: h\r\nHost: inner\r\n"},
        {"Host: folded", host, "Host: h\r\n inner\r\n"},
        {"Host: the second with a space before the colon", host, "Host: h\r\nHost : inner\r\n"},
        {"Host: the first line folded from nowhere", host, " Host: inner\r\nHost: h\r\n"},
        {"target with a space and another version", line, "GET /?x HTTP/1.1 /inner HTTP/1.1"},
        {"target with a line end", stream, "GET / HTTP/1.1\r\n HTTP/1.1\r\nHost: h\r\n\r\n"},
        {"two requests in one packet, the second with both", stream,
         "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "GET /1|Host=h;!400"},
        {"rubbish behind a request", stream, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\x16\x03", "GET /1|Host=h;!400"},
        {"a line of rubbish behind a request", stream, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nrubbish\r\n",
         "GET /1|Host=h;!400"},
        {"rubbish behind a body", stream, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\n\n",
         "POST /1|Host=h|Content-Length=3 <abc>;!400"},
        {"rubbish behind chunks", chunked, "1\r\na\r\n0\r\n\r\n\rx\n", " <a>;!400"},
    };
    return rules;
}

inline std::array<HttpSection, 8> http_rules() {
    return {{{"Request line", request_line_rules()},
             {"Host", host_rules()},
             {"Fields", field_rules()},
             {"Content-Length", length_rules()},
             {"Transfer-Encoding", coding_rules()},
             {"Chunks", chunk_rules()},
             {"Limits", limit_rules()},
             {"Smuggling", smuggling_rules()}}};
}

} // namespace test

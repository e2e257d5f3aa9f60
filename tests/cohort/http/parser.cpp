// SPDX-License-Identifier: MIT
// The parser's rules, each input given whole, byte by byte, and split once at every place.
#include <cohort/http/parser.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace cohort;
using namespace std::string_literals;

namespace {

/// What a parser makes of a stream: one line of text for each request, then the refusal, if any.
struct Reader {
    explicit Reader(const http::Limits& limits) : parser(limits) {}

    void feed(std::string_view bytes) {
        while (true) {
            const auto step = parser.parse(bytes);
            bytes.remove_prefix(step.consumed);
            if (step.event == http::ParseEvent::head) note_head();
            if (step.event == http::ParseEvent::body) body += step.body;
            if (step.event == http::ParseEvent::error) return note_refusal();
            if (step.event == http::ParseEvent::need_more) return;
            if (parser.complete()) end_message();
        }
    }

    void note_head() {
        const http::Request& request = parser.request();
        seen += std::string{to_string(request.method())} + " " + std::string{request.path()};
        if (!request.query().empty()) seen += "?" + std::string{request.query()};
        for (const http::Field field : request.fields())
            seen += "|" + std::string{field.name} + "=" + std::string{field.value};
        if (!request.keep_alive()) seen += " close";
        if (parser.expects_continue()) seen += " expects";
    }

    void note_refusal() {
        if (refused) return;
        refused = true;
        seen += "!" + std::to_string(parser.refuse());
    }

    void end_message() {
        if (!body.empty()) seen += " <" + body + ">";
        seen += ";";
        body.clear();
        parser.restart();
    }

    http::RequestParser parser;
    std::string seen;
    std::string body;
    bool refused = false;
};

std::string whole(std::string_view input, const http::Limits& limits = {}) {
    Reader reader(limits);
    reader.feed(input);
    return reader.seen;
}

std::string bytewise(std::string_view input, const http::Limits& limits = {}) {
    Reader reader(limits);
    for (const char& c : input) reader.feed({&c, 1});
    return reader.seen;
}

void check(std::string_view rule, std::string_view input, std::string_view wanted, const http::Limits& limits = {}) {
    CAPTURE(rule);
    CAPTURE(input.substr(0, 200));
    CHECK(whole(input, limits) == wanted);
    CHECK(bytewise(input, limits) == wanted);
    if (input.size() > 400) return;
    for (std::size_t at = 1; at < input.size(); ++at) {
        Reader reader(limits);
        reader.feed(input.substr(0, at));
        reader.feed(input.substr(at));
        if (reader.seen != wanted) FAIL_CHECK("split at " << at << ": " << reader.seen);
    }
}

struct Row {
    const char* rule;
    std::string input;
    std::string wanted;
};

void check_all(const std::vector<Row>& rows) {
    for (const Row& row : rows) check(row.rule, row.input, row.wanted);
}

std::string with_fields(std::string_view fields) {
    return "GET / HTTP/1.1\r\nHost: h\r\n" + std::string{fields} + "\r\n";
}

/// A chunked body behind a head, and what is seen of it.
std::string chunked(std::string_view body) {
    return "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string{body};
}
const std::string chunked_head = "POST /|Host=h|Transfer-Encoding=chunked";

} // namespace

TEST_CASE("requests that are right are split") {
    check_all({
        {"plain", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /|Host=h;"},
        {"query", "GET /a/b?x=1&y HTTP/1.1\r\nHost: h:80\r\n\r\n", "GET /a/b?x=1&y|Host=h:80;"},
        {"absolute form", "GET http://h/p?q HTTP/1.1\r\nHost: h\r\n\r\n", "GET /p?q|Host=h;"},
        {"absolute form without path", "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", "GET /|Host=h;"},
        {"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS *|Host=h;"},
        {"empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /|Host=h;"},
        {"white space around a value", with_fields("A: \t b c \t \r\n"), "GET /|Host=h|A=b c;"},
        {"empty value", with_fields("A:\r\nB: \r\nC:d\r\n"), "GET /|Host=h|A=|B=|C=d;"},
        {"obs-text in a value", with_fields("A: \xe4\r\n"), "GET /|Host=h|A=\xe4;"},
        {"repeated field", with_fields("A: 1\r\na: 2\r\n"), "GET /|Host=h|A=1|a=2;"},
        {"close", with_fields("Connection: foo, Close\r\n"), "GET /|Host=h|Connection=foo, Close close;"},
        {"1.0", "GET / HTTP/1.0\r\n\r\n", "GET / close;"},
        {"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /|Connection=keep-alive;"},
        {"IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET /|Host=[::1]:8080;"},
        {"method with hyphen", "M-SEARCH / HTTP/1.1\r\nHost: h\r\n\r\n", "M-SEARCH /|Host=h;"},
        {"upgrade is only noted", with_fields("Connection: upgrade\r\nUpgrade: x\r\n"),
         "GET /|Host=h|Connection=upgrade|Upgrade=x;"},
        {"two pipelined", "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET /1|Host=h;GET /2|Host=h;"},
        {"rubbish behind a request", "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\x16\x03", "GET /1|Host=h;!400"},
    });
}

TEST_CASE("request lines that break a rule") {
    const auto line = [](std::string_view text) { return std::string{text} + "\r\nHost: h\r\n\r\n"; };
    check_all({
        {"bare LF", "GET / HTTP/1.1\nHost: h\n\n", "!400"},
        {"bare CR", line("GET /\r HTTP/1.1"), "!400"},
        {"two spaces", line("GET  / HTTP/1.1"), "!400"},
        {"two spaces before the version", line("GET /  HTTP/1.1"), "!400"},
        {"tab", line("GET\t/ HTTP/1.1"), "!400"},
        {"space at the end", line("GET / HTTP/1.1 "), "!400"},
        {"space in front", line(" GET / HTTP/1.1"), "!400"},
        {"no version", line("GET /"), "!400"},
        {"no target", line("GET HTTP/1.1"), "!400"},
        {"control in the target", line("GET /\x01 HTTP/1.1"), "!400"},
        {"NUL in the target", line("GET /\0 HTTP/1.1"s), "!400"},
        {"DEL in the target", line("GET /\x7f HTTP/1.1"), "!400"},
        {"octet above 0x7e in the target", line("GET /\xc3\xa4 HTTP/1.1"), "!400"},
        {"fragment", line("GET /#x HTTP/1.1"), "!400"},
        {"relative target", line("GET x HTTP/1.1"), "!400"},
        {"asterisk without OPTIONS", line("GET * HTTP/1.1"), "!400"},
        {"another scheme", line("GET ftp://h/ HTTP/1.1"), "!400"},
        {"absolute form without host", line("GET http:///x HTTP/1.1"), "!400"},
        {"CONNECT with a path", line("CONNECT / HTTP/1.1"), "!400"},
        {"CONNECT", line("CONNECT h:443 HTTP/1.1"), "!501"},
        {"TRACE", line("TRACE / HTTP/1.1"), "!501"},
        {"malformed version", line("GET / HTTP/1"), "!400"},
        {"lower-case version", line("GET / http/1.1"), "!400"},
        {"version with more digits", line("GET / HTTP/1.10"), "!400"},
        {"another protocol", line("GET / ICE/1.0"), "!400"},
        {"2.0", line("GET / HTTP/2.0"), "!505"},
        {"1.2", line("GET / HTTP/1.2"), "!505"},
        {"0.9", line("GET / HTTP/0.9"), "!505"},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!505"},
        {"unknown method", line("BREW / HTTP/1.1"), "!501"},
        {"lower-case method", line("get / HTTP/1.1"), "!501"},
        {"malformed method", line("G@T / HTTP/1.1"), "!400"},
        {"TLS on this port", "\x16\x03\x01\x02", "!400"},
        {"three empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "!400"},
    });
}

TEST_CASE("Host is there once and valid") {
    const auto head = [](std::string_view fields) { return "GET / HTTP/1.1\r\n" + std::string{fields} + "\r\n"; };
    check_all({
        {"missing", head(""), "!400"},
        {"missing in 1.0", "GET / HTTP/1.0\r\n\r\n", "GET / close;"},
        {"repeated", head("Host: h\r\nHost: h\r\n"), "!400"},
        {"empty", head("Host:\r\n"), "!400"},
        {"with a path", head("Host: h/p\r\n"), "!400"},
        {"with a user", head("Host: u@h\r\n"), "!400"},
        {"list", head("Host: a, b\r\n"), "!400"},
        {"bad port", head("Host: h:8x\r\n"), "!400"},
        {"only a port", head("Host: :80\r\n"), "!400"},
        {"unclosed bracket", head("Host: [::1\r\n"), "!400"},
    });
}

TEST_CASE("field lines that break a rule") {
    check_all({
        {"folding", with_fields("A: b\r\n c\r\n"), "!400"},
        {"space before the colon", with_fields("A : b\r\n"), "!400"},
        {"space before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", "!400"},
        {"no colon", with_fields("A b\r\n"), "!400"},
        {"empty name", with_fields(": b\r\n"), "!400"},
        {"name not a token", with_fields("A(: b\r\n"), "!400"},
        {"NUL", with_fields("A: b\0c\r\n"s), "!400"},
        {"bare CR", with_fields("A: b\rc\r\n"), "!400"},
        {"bare LF", with_fields("A: b\nB: c\r\n"), "!400"},
        {"CR CR LF", with_fields("A: b\r\r\n"), "!400"},
        {"control", with_fields("A: b\x02\r\n"), "!400"},
        {"another expectation", with_fields("Expect: cake\r\n"), "!417"},
    });
}

TEST_CASE("Content-Length is digits, once") {
    const auto post = [](std::string_view length) {
        return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:" + std::string{length} + "\r\n\r\nabc";
    };
    check_all({
        {"plain", post(" 3"), "POST /|Host=h|Content-Length=3 <abc>;"},
        {"zero, and rubbish", post(" 0") + "\n", "POST /|Host=h|Content-Length=0;!400"},
        {"sign", post(" +3"), "!400"},
        {"minus", post(" -3"), "!400"},
        {"list", post(" 3, 3"), "!400"},
        {"hexadecimal", post(" 0x3"), "!400"},
        {"underscore", post(" 3_0"), "!400"},
        {"empty", post(" "), "!400"},
        {"inner space", post(" 3 3"), "!400"},
        {"overflow", post(" 18446744073709551616"), "!400"},
        {"repeated", post(" 3\r\nContent-Length: 3"), "!400"},
        {"over the limit", post(" 1048577"), "!413"},
        {"far over the limit", post(" 18446744073709551615"), "!413"},
        {"expects", post(" 3\r\nExpect: 100-Continue"),
         "POST /|Host=h|Content-Length=3|Expect=100-Continue expects <abc>;"},
    });
}

TEST_CASE("Transfer-Encoding is exactly chunked") {
    const auto post = [](std::string_view coding) {
        return "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:" + std::string{coding} + "\r\n\r\n0\r\n\r\n";
    };
    check_all({
        {"plain", post(" chunked"), chunked_head + ";"},
        {"any case", post("ChunkeD"), "POST /|Host=h|Transfer-Encoding=ChunkeD;"},
        {"another coding", post(" gzip"), "!501"},
        {"identity", post(" identity"), "!501"},
        {"list", post(" gzip, chunked"), "!400"},
        {"repeated in a list", post(" chunked, chunked"), "!400"},
        {"repeated", post(" chunked\r\nTransfer-Encoding: chunked"), "!400"},
        {"empty", post(" "), "!400"},
        {"parameter", post(" chunked;a=b"), "!400"},
        {"tab", post("\tchunked"), "!400"},
        {"vertical tab", post(" \vchunked"), "!400"},
        {"with Content-Length", post(" chunked\r\nContent-Length: 3"), "!400"},
        {"behind Content-Length",
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
        {"in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"},
    });
}

TEST_CASE("chunks are framed strictly") {
    check_all({
        {"two chunks", chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), chunked_head + " <abcde>;"},
        {"hexadecimal", chunked("A\r\n0123456789\r\n00\r\n\r\n"), chunked_head + " <0123456789>;"},
        {"extension", chunked("3;a=b\r\nabc\r\n0;c\r\n\r\n"), chunked_head + " <abc>;"},
        {"trailers are dropped", chunked("3\r\nabc\r\n0\r\nA: b\r\nHost: x\r\n\r\n"), chunked_head + " <abc>;"},
        {"next request", chunked("0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), chunked_head + ";GET /|Host=h;"},
        {"no size", chunked("\r\nabc\r\n"), chunked_head + "!400"},
        {"not hexadecimal", chunked("g\r\n"), chunked_head + "!400"},
        {"0x", chunked("0x3\r\nabc\r\n"), chunked_head + "!400"},
        {"sign", chunked("+3\r\nabc\r\n"), chunked_head + "!400"},
        {"space behind the size", chunked("3 \r\nabc\r\n"), chunked_head + "!400"},
        {"17 digits", chunked("00000000000000003\r\nabc\r\n"), chunked_head + "!400"},
        {"bare LF behind the size", chunked("3\nabc\r\n"), chunked_head + "!400"},
        {"bare LF in an extension", chunked("3;a\nabc\r\n"), chunked_head + "!400"},
        {"bare CR behind the size", chunked("3\rabc\r\n"), chunked_head + "!400"},
        {"past the limit", chunked("100001\r\n"), chunked_head + "!413"},
        {"far past the limit", chunked("ffffffffffffffff\r\n"), chunked_head + "!413"},
        {"folded trailer", chunked("0\r\nA: b\r\n c\r\n\r\n"), chunked_head + "!400"},
        {"trailer with space before the colon", chunked("0\r\nA : b\r\n\r\n"), chunked_head + "!400"},
        {"control in a trailer", chunked("0\r\nA: \x01\r\n\r\n"), chunked_head + "!400"},
    });
    // The data before the fault may or may not have been given out already; the refusal is what counts.
    for (const char* body : {"3\r\nabcd\r\n", "3\r\nabc\n0\r\n\r\n", "3\r\nabc\r0\r\n\r\n"}) {
        CHECK(whole(chunked(body)).ends_with("!400"));
        CHECK(bytewise(chunked(body)).ends_with("!400"));
    }
}

TEST_CASE("limits are kept") {
    http::Limits limits;
    limits.head = 512;
    limits.target = 64;
    limits.field = 128;
    limits.fields = 3;
    limits.trailers = 32;
    limits.chunk_extension = 8;
    limits.chunk_extensions = 12;
    const auto target = [](std::size_t size) {
        return "GET /" + std::string(size - 1, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
    };
    check("target at the limit", target(64), "GET /" + std::string(63, 'a') + "|Host=h;", limits);
    check("target past the limit", target(65), "!414", limits);
    check("target far past the limit", target(300), "!414", limits);
    check("endless request line", std::string(1000, 'A'), "!414", limits);
    check("field past the limit", with_fields("A: " + std::string(126, 'b') + "\r\n"), "!431", limits);
    check("endless field", with_fields("A: " + std::string(900, 'b')), "!431", limits);
    check("too many fields", with_fields("A: 1\r\nB: 2\r\nC: 3\r\n"), "!431", limits);
    limits.head = 100;
    check("head past the limit", with_fields("A: " + std::string(80, 'b') + "\r\n"), "!431", limits);
    check("trailers", chunked("0\r\nA: " + std::string(40, 'b') + "\r\n\r\n"), chunked_head + "!431", limits);
    check("one extension", chunked("1;" + std::string(8, 'x') + "\r\na"), chunked_head + "!413", limits);
    check("all extensions", chunked("1;aaaaaa\r\na\r\n1;aaaaaa\r\nb\r\n"), chunked_head + "!413", limits);
}

TEST_CASE("a target of 8000 octets works with the default limits") {
    const std::string path = "/" + std::string(7999, 'a');
    check("long target", "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n", "GET " + path + "|Host=h;");
}

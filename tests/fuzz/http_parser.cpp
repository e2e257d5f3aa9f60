// SPDX-License-Identifier: MIT
// A libFuzzer target: bytes from any client, as requests. Whatever they are, they mean the same wherever they are
// split, what comes out keeps the rules, and memory keeps the limits.
//
//     tests/fuzz/run.sh          builds all targets and runs them for a while
#include "http.hpp"

#include <support/http_reader.hpp>

#include <algorithm>

namespace fuzz {

namespace {

namespace http = cohort::http;

bool is_plain(std::string_view value) {
    return std::ranges::all_of(value, [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); });
}

bool is_target(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

/// What holds of every head that a handler may see.
void check_head(const http::Request& request, const http::Limits& limits) {
    std::size_t hosts = 0, lengths = 0, codings = 0;
    for (const http::Field field : request.fields()) {
        require(http::detail::is_token(field.name), "the name of a field is a token");
        require(is_plain(field.value), "the value of a field has no controls");
        require(http::detail::trim(field.value) == field.value, "the value of a field has no white space around it");
        hosts += http::detail::equal_ignoring_case(field.name, "host");
        lengths += http::detail::equal_ignoring_case(field.name, "content-length");
        codings += http::detail::equal_ignoring_case(field.name, "transfer-encoding");
    }
    require(hosts == 1 || (hosts == 0 && request.version_minor() == 0), "there is one Host");
    require(lengths + codings <= 1, "there is one framing");
    require(codings == 0 || !request.content_length(), "a coded body has no length");
    require(codings == 0 || request.version_minor() == 1, "1.0 has no codings");
    require(request.content_length().value_or(0) <= limits.body, "a body is within its limit");
    require(request.fields().size() <= limits.fields, "there are no more fields than allowed");
    require(is_target(request.target()) && request.target().size() <= limits.target, "the target is well-formed");
    require(request.path().starts_with('/') || request.path() == "*", "the path is one");
}

struct Checking : test::HttpReader {
    Checking(const http::Limits& wanted) : HttpReader(wanted), limits(wanted) {}

    void feed(std::string_view bytes) {
        while (true) {
            const auto step = parser.parse(bytes);
            require(step.consumed <= bytes.size(), "no more is taken than there is");
            require(step.body.empty() || (step.body.data() >= bytes.data() &&
                                          step.body.data() + step.body.size() <= bytes.data() + step.consumed),
                    "a body lies in what was taken");
            if (step.event == http::ParseEvent::head) check_head(parser.request(), limits);
            if (step.event == http::ParseEvent::error) {
                const int status = parser.refuse();
                require(status == 400 || status == 413 || status == 414 || status == 417 || status == 431 ||
                            status == 501 || status == 505,
                        "a refusal has its status");
            }
            const bool done = note(step, bytes);
            require(body.size() <= limits.body, "the bodies of chunks are within their limit");
            if (done) return;
        }
    }

    const http::Limits& limits;
};

} // namespace

void run(Script script) {
    static const http::Limits usual;
    static const http::Limits small = test::small_limits();
    const std::uint8_t setting = script.next();
    const http::Limits& limits = setting & 1 ? small : usual;
    Pieces pieces(script, setting >> 1);
    const std::string_view input = script.rest();

    const std::size_t before = allocated_bytes();
    Checking whole(limits);
    whole.feed(input);
    const std::size_t held = allocated_bytes() - before;
    require(held < 4 * limits.head + 2 * (whole.seen.capacity() + whole.body.capacity()) + 4096, "memory is bounded");

    Checking cut(limits);
    while (!pieces.done()) cut.feed(pieces.next());
    require(cut.seen == whole.seen, "the events are the same wherever the bytes are split");
    if (!whole.refused) require(cut.body == whole.body, "so is what there is of a body");
    require(cut.parser.inside_head() == whole.parser.inside_head(), "so is what is to come");
    if (!whole.refused) return;
    whole.feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    require(cut.seen == whole.seen, "nothing comes after a refusal");
}

std::vector<std::string> seeds() { return http_seeds(); }

} // namespace fuzz

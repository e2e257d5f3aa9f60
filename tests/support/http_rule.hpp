// SPDX-License-Identifier: MIT
// What a rule of HTTP/1.1 is to a test: an input that keeps or breaks it, and what is to be seen of that input.
#pragma once

#include <cohort/http/limits.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace test {

/// What is put around the part of an input that a rule is about.
enum class Form : unsigned char {
    stream,  ///< nothing
    line,    ///< a request line, without its end
    host,    ///< all fields of a request
    fields,  ///< fields behind a right Host
    length,  ///< what follows "Content-Length:", with three octets behind the head
    coding,  ///< what follows "Transfer-Encoding:", with an empty body in chunks behind the head
    chunked, ///< a body in chunks
};

/// What a parser or a handler sees of a stream is written as: for each request its method, path, query and fields,
/// "close" if it is the connection's last, "expects" if its client waits for 100, and its body, with a semicolon when
/// it is complete; "!400" for a refusal.
struct HttpRule {
    std::string_view words;
    Form form;
    std::string_view part;
    std::string_view seen = "!400"; ///< without what the form stands for
    std::size_t run = 0;            ///< '~' in the part and in what is seen is a letter so many times
    int at_end = 0;                 ///< the status that a server answers with when the stream ends here
    bool small = false;             ///< under small_limits()

    std::string input() const { return (before() + expanded(part)).append(after()); }
    std::string wanted() const {
        const bool nothing = seen.starts_with('!') && form != Form::chunked;
        return nothing ? std::string(seen) : std::string(seen_of_form()) + expanded(seen);
    }
    /// Whether what is seen ends with a refusal, of four characters.
    bool is_refused() const { return seen.size() > 3 && seen[seen.size() - 4] == '!'; }
    cohort::http::Limits limits() const;

private:
    std::string before() const;
    std::string_view after() const;
    std::string_view seen_of_form() const;
    std::string expanded(std::string_view text) const {
        std::string result(text);
        const std::size_t at = run == 0 ? std::string::npos : result.find('~');
        return at == std::string::npos ? result : result.replace(at, 1, run, 'a');
    }
};

struct HttpSection {
    std::string_view name;
    std::span<const HttpRule> rules;
};

inline cohort::http::Limits small_limits() {
    cohort::http::Limits limits;
    limits.head = 512;
    limits.target = 64;
    limits.field = 128;
    limits.fields = 3;
    limits.body = 1000;
    limits.trailers = 32;
    limits.chunk_extension = 8;
    limits.chunk_extensions = 12;
    return limits;
}

inline cohort::http::Limits HttpRule::limits() const { return small ? small_limits() : cohort::http::Limits{}; }

inline std::string HttpRule::before() const {
    const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";
    switch (form) {
        case Form::host: return "GET / HTTP/1.1\r\n";
        case Form::fields: return "GET / HTTP/1.1\r\nHost: h\r\n";
        case Form::length: return post + "Content-Length:";
        case Form::coding: return post + "Transfer-Encoding:";
        case Form::chunked: return post + "Transfer-Encoding: chunked\r\n\r\n";
        default: return {};
    }
}

inline std::string_view HttpRule::after() const {
    switch (form) {
        case Form::line: return "\r\nHost: h\r\n\r\n";
        case Form::host:
        case Form::fields: return "\r\n";
        case Form::length: return "\r\n\r\nabc";
        case Form::coding: return "\r\n\r\n0\r\n\r\n";
        default: return {};
    }
}

inline std::string_view HttpRule::seen_of_form() const {
    switch (form) {
        case Form::host: return "GET /";
        case Form::fields: return "GET /|Host=h";
        case Form::length: return "POST /|Host=h|Content-Length=";
        case Form::coding: return "POST /|Host=h|Transfer-Encoding=";
        case Form::chunked: return "POST /|Host=h|Transfer-Encoding=chunked";
        default: return {};
    }
}

} // namespace test

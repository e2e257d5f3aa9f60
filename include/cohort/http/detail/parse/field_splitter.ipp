// SPDX-License-Identifier: MIT
// The bodies of field_splitter.hpp (layer 1).
#pragma once

#include <cohort/http/detail/parse/field_splitter.hpp>

#include <cohort/detail/config.hpp>

#include <llhttp.h>

#include <cstdint>

namespace cohort::http::detail {

/// llhttp's callbacks: each gives a part of the head as pointers into it, kept here as offsets.
struct Splitter {
    const char* base;
    std::vector<FieldSpan>& entries;
    bool in_value = true;

    static std::uint32_t size(std::size_t length) noexcept { return static_cast<std::uint32_t>(length); }
    static Splitter& of(llhttp_t* parser) noexcept { return *static_cast<Splitter*>(parser->data); }

    static int on_name(llhttp_t* parser, const char* at, std::size_t length) noexcept;

    static int on_value(llhttp_t* parser, const char* at, std::size_t length) noexcept;

    static int on_value_complete(llhttp_t* parser) noexcept {
        of(parser).in_value = true;
        return 0;
    }

    static int on_head(llhttp_t*) noexcept { return HPE_PAUSED; }

    static const llhttp_settings_t& settings() noexcept;
};

COHORT_DECL int Splitter::on_name(llhttp_t* parser, const char* at, std::size_t length) noexcept {
    Splitter& self = of(parser);
    if (self.in_value) {
        self.entries.emplace_back();
        self.entries.back().name = size(static_cast<std::size_t>(at - self.base));
    }
    self.in_value = false;
    FieldSpan& entry = self.entries.back();
    entry.name_size += size(length);
    entry.value = entry.name + entry.name_size;
    return 0;
}

COHORT_DECL int Splitter::on_value(llhttp_t* parser, const char* at, std::size_t length) noexcept {
    Splitter& self = of(parser);
    FieldSpan& entry = self.entries.back();
    if (!self.in_value) entry.value = size(static_cast<std::size_t>(at - self.base));
    self.in_value = true;
    entry.value_size += size(length);
    return 0;
}

COHORT_DECL const llhttp_settings_t& Splitter::settings() noexcept {
    static const llhttp_settings_t settings = [] {
        llhttp_settings_t made;
        llhttp_settings_init(&made);
        made.on_header_field = &on_name;
        made.on_header_value = &on_value;
        made.on_header_value_complete = &on_value_complete;
        made.on_headers_complete = &on_head;
        return made;
    }();
    return settings;
}

COHORT_DECL bool split_fields(std::string_view head, std::size_t count, std::vector<FieldSpan>& fields) {
    fields.reserve(count); // no callback may throw through llhttp
    Splitter splitter{head.data(), fields};
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &Splitter::settings());
    parser.data = &splitter;
    // The request line has been judged, by rules that llhttp's versions do not share: HTTP/1.2 is an error to them.
    constexpr std::string_view some_line = "GET / HTTP/1.1\r\n";
    const std::string_view rest = head.substr(head.find('\n') + 1);
    return llhttp_execute(&parser, some_line.data(), some_line.size()) == HPE_OK &&
           llhttp_execute(&parser, rest.data(), rest.size()) == HPE_PAUSED && fields.size() == count;
}

} // namespace cohort::http::detail

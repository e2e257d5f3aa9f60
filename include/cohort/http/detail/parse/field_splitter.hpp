// SPDX-License-Identifier: MIT
// Where the fields of a head lie in it: what is asked of llhttp (layer 1).
#pragma once

#include <cohort/http/fields.hpp>

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

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

/// Splits a whole head, whose lines have been checked, into its `count` fields. False: llhttp does not take it for one.
bool split_fields(std::string_view head, std::size_t count, std::vector<FieldSpan>& fields);

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/parse/field_splitter.ipp>
#endif

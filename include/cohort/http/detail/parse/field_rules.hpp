// SPDX-License-Identifier: MIT
// What the fields of a head say of its message and of the connection, checked (layer 1).
#pragma once

#include <cohort/http/fields.hpp>
#include <cohort/http/limits.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace cohort::http::detail {

struct HeadFacts {
    std::string_view authority{}; ///< that of an absolute target, which is a part of the head
    int version_minor = 1;
    bool host = false;
    bool chunked = false;
    bool expects_continue = false;
    bool expects_more = false; ///< an expectation other than 100-continue
    bool wants_close = false;
    bool wants_keep_alive = false;
    std::uint64_t length = 0;

    /// RFC 9112 section 9.3.
    bool keep_alive() const noexcept { return !wants_close && (version_minor == 1 || wants_keep_alive); }
};

void note_connection(std::string_view list, HeadFacts& facts) noexcept;

void note_expectation(std::string_view value, HeadFacts& facts) noexcept;

/// The authority of an absolute target replaces the field's value (RFC 9112 section 3.2.2).
int note_host(std::string_view head, FieldSpan& field, HeadFacts& facts) noexcept;

/// Accepts only "chunked", with at most one space before it and none behind.
int check_coding(std::string_view head, const FieldSpan& field, HeadFacts& facts) noexcept;

int check_length(std::string_view head, const FieldSpan& field, const Limits& limits, HeadFacts& facts) noexcept;

/// RFC 9112 section 6.3, without the latitude it gives: a body that two readers could frame differently is refused.
int check_framing(std::string_view head, const FieldSpan* length, const FieldSpan* coding, const Limits& limits,
                  HeadFacts& facts) noexcept;

/// Gives 0, or the status of the refusal.
int check_fields(std::string_view head, std::vector<FieldSpan>& fields, const Limits& limits,
                 HeadFacts& facts) noexcept;

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/parse/field_rules.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of field_rules.hpp (layer 1).
#pragma once

#include <cohort/http/detail/parse/field_rules.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/request_line.hpp>
#include <cohort/http/detail/parse/text.hpp>

#include <cstddef>

namespace cohort::http::detail {

COHORT_DECL void note_connection(std::string_view list, HeadFacts& facts) noexcept {
    while (!list.empty()) {
        const std::string_view option = trim(take_until(list, ','));
        if (equal_ignoring_case(option, "close")) facts.wants_close = true;
        if (equal_ignoring_case(option, "keep-alive")) facts.wants_keep_alive = true;
    }
}

COHORT_DECL void note_expectation(std::string_view list, HeadFacts& facts) noexcept {
    while (!list.empty()) {
        const std::string_view expectation = trim(take_until(list, ','));
        if (equal_ignoring_case(expectation, "100-continue"))
            facts.expects_continue = facts.version_minor == 1;
        else if (!expectation.empty())
            facts.expects_more = true;
    }
}

COHORT_DECL int note_host(std::string_view head, FieldSpan& field, HeadFacts& facts) noexcept {
    if (facts.host || !is_host(field.value_in(head))) return 400;
    facts.host = true;
    if (facts.authority.empty()) return 0;
    field.value = static_cast<std::uint32_t>(facts.authority.data() - head.data());
    field.value_size = static_cast<std::uint32_t>(facts.authority.size());
    return 0;
}

COHORT_DECL int check_coding(std::string_view head, const FieldSpan& field, HeadFacts& facts) noexcept {
    if (facts.version_minor == 0) return 400;
    const std::string_view value = field.value_in(head);
    if (!is_token(value)) return 400;
    const std::uint32_t name_end = field.name + field.name_size;
    const std::string_view before = head.substr(name_end, field.value - name_end);
    if ((before != ": " && before != ":") || head[field.value + field.value_size] != '\r') return 400;
    facts.chunked = equal_ignoring_case(value, "chunked");
    return facts.chunked ? 0 : 501;
}

COHORT_DECL int check_length(std::string_view head, const FieldSpan& field, const Limits& limits,
                             HeadFacts& facts) noexcept {
    const std::string_view value = field.value_in(head);
    // A tab behind the digits is white space like any other to some versions of llhttp, and an error to others.
    const std::size_t end = head.find_first_not_of(' ', field.value + field.value_size);
    if (value.empty() || head[end] != '\r') return 400;
    std::uint64_t length = 0;
    for (const char c : value) {
        if (!is_digit(c)) return 400;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (length > (UINT64_MAX - digit) / 10) return 400;
        length = length * 10 + digit;
    }
    facts.length = length;
    return length > limits.body ? 413 : 0;
}

COHORT_DECL int check_framing(std::string_view head, const FieldSpan* length, const FieldSpan* coding,
                              const Limits& limits, HeadFacts& facts) noexcept {
    if (length != nullptr && coding != nullptr) return 400;
    if (coding != nullptr) return check_coding(head, *coding, facts);
    if (length != nullptr) return check_length(head, *length, limits, facts);
    return 0;
}

COHORT_DECL int check_fields(std::string_view head, std::vector<FieldSpan>& fields, const Limits& limits,
                             HeadFacts& facts) noexcept {
    const FieldSpan* length = nullptr;
    const FieldSpan* coding = nullptr;
    const auto note_once = [](const FieldSpan*& noted, const FieldSpan& field) {
        const bool repeated = noted != nullptr;
        noted = &field;
        return repeated ? 400 : 0;
    };
    for (FieldSpan& field : fields) {
        const std::string_view name = field.name_in(head);
        const std::string_view value = trim(field.value_in(head));
        field.value_size = static_cast<std::uint32_t>(value.size()); // llhttp trims only leading white space
        int status = 0;
        if (equal_ignoring_case(name, "host")) status = note_host(head, field, facts);
        if (equal_ignoring_case(name, "expect")) note_expectation(value, facts);
        if (equal_ignoring_case(name, "connection")) note_connection(value, facts);
        if (equal_ignoring_case(name, "content-length")) status = note_once(length, field);
        if (equal_ignoring_case(name, "transfer-encoding")) status = note_once(coding, field);
        if (status != 0) return status;
    }
    if (!facts.host && facts.version_minor == 1) return 400;
    if (const int status = check_framing(head, length, coding, limits, facts); status != 0) return status;
    return facts.expects_more ? 417 : 0;
}

} // namespace cohort::http::detail

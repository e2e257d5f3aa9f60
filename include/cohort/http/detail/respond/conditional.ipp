// SPDX-License-Identifier: MIT
// The bodies of conditional.hpp (layer 1).
#pragma once

#include <cohort/http/detail/respond/conditional.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/detail/respond/date.hpp>

#include <algorithm>
#include <cstddef>

namespace cohort::http::detail {

COHORT_DECL std::optional<std::string_view> take_etag(std::string_view& list, bool& weak) noexcept {
    while (!list.empty() && (list[0] == ',' || list[0] == ' ' || list[0] == '\t')) list.remove_prefix(1);
    weak = list.starts_with("W/");
    const std::string_view tag = list.substr(weak ? 2 : 0);
    const std::size_t end = tag.find('"', 1);
    if (!tag.starts_with('"') || end == std::string_view::npos) return std::nullopt;
    list = tag.substr(end + 1);
    return tag.substr(0, end + 1);
}

COHORT_DECL bool lists_etag(const Fields& fields, std::string_view name, std::string_view etag, bool weak_is_enough) {
    for (const Field field : fields) {
        if (!equal_ignoring_case(field.name, name)) continue;
        if (field.value == "*") return true;
        std::string_view list = field.value;
        bool weak = false;
        while (const auto tag = take_etag(list, weak))
            if (*tag == etag && (weak_is_enough || !weak)) return true;
    }
    return false;
}

COHORT_DECL int check_conditions(const Fields& fields, const Validators& current, std::time_t now) {
    const auto date_of = [&fields, now](std::string_view name) {
        const auto value = fields.get(name);
        return value ? parse_date(*value, now) : std::nullopt;
    };
    if (fields.contains("if-match")) {
        if (!lists_etag(fields, "if-match", current.etag, false)) return 412;
    } else if (const auto since = date_of("if-unmodified-since")) {
        if (current.modified > *since) return 412;
    }
    if (fields.contains("if-none-match")) return lists_etag(fields, "if-none-match", current.etag, true) ? 304 : 0;
    const auto since = date_of("if-modified-since");
    return since && current.modified <= *since ? 304 : 0;
}

COHORT_DECL bool check_if_range(const Fields& fields, const Validators& current, std::time_t now) {
    const auto value = fields.get("if-range");
    if (!value) return true;
    if (value->starts_with('"') || value->starts_with("W/")) return *value == current.etag;
    // What was modified in this second may be modified in it once more.
    return current.modified < now && parse_date(*value, now) == current.modified;
}

COHORT_DECL std::optional<std::uint64_t> to_position(std::string_view digits) noexcept {
    std::uint64_t value = 0;
    for (const char c : digits) {
        if (!is_digit(c)) return std::nullopt;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    return digits.empty() ? std::nullopt : std::optional{value};
}

COHORT_DECL Range parse_range(std::string_view text, std::uint64_t size) noexcept {
    const Range whole{Range::Kind::whole, 0, size};
    const Range unsatisfiable{Range::Kind::unsatisfiable, 0, 0};
    if (!equal_ignoring_case(take_until(text, '='), "bytes")) return whole;
    std::string_view after = trim(text);
    const std::string_view before = take_until(after, '-');
    if (before.size() == trim(text).size()) return whole; // there is no dash
    const auto first = to_position(before);
    const auto last = to_position(after);
    if ((!first && !before.empty()) || (!last && !after.empty()) || (!first && !last)) return whole;
    if (!first) {
        if (*last == 0) return unsatisfiable;
        const std::uint64_t count = std::min(*last, size);
        return size == 0 ? whole : Range{Range::Kind::part, size - count, count};
    }
    if (last && *last < *first) return whole;
    if (*first >= size) return unsatisfiable;
    return {Range::Kind::part, *first, std::min(last.value_or(size - 1), size - 1) - *first + 1};
}

} // namespace cohort::http::detail

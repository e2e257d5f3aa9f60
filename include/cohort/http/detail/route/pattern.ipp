// SPDX-License-Identifier: MIT
// The bodies of pattern.hpp (layer 1).
#pragma once

#include <cohort/http/detail/route/pattern.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>

#include <algorithm>
#include <cstddef>
#include <stdexcept>

namespace cohort::http::detail {

COHORT_DECL void refuse_pattern(std::string_view pattern, std::string_view why) {
    throw std::invalid_argument("http::Router: pattern \"" + std::string{pattern} + "\": " + std::string{why});
}

COHORT_DECL std::string parameter_name(std::string_view name, std::string_view pattern,
                                       const std::vector<std::string>& others) {
    for (const char c : name)
        if (!is_digit(c) && c != '_' && (to_lower(c) < 'a' || to_lower(c) > 'z'))
            refuse_pattern(pattern, "a parameter's name is made of letters, digits and _");
    if (name.empty()) refuse_pattern(pattern, "a parameter needs a name, as in /hello/:name");
    if (std::find(others.begin(), others.end(), name) != others.end())
        refuse_pattern(pattern, "the same parameter twice");
    return std::string{name};
}

COHORT_DECL std::string plain_segment(std::string_view segment, std::string_view pattern) {
    if (segment.empty()) refuse_pattern(pattern, "an empty segment (//)");
    if (!all_are(segment, char_line) || segment.find_first_of("*?#") != std::string_view::npos)
        refuse_pattern(pattern, "a segment is plain text, :name, :name? or *rest");
    return decode(segment, false);
}

COHORT_DECL PathPrefix::PathPrefix(std::string_view pattern) {
    if (!pattern.empty() && pattern[0] != '/') refuse_pattern(pattern, "must begin with /");
    std::string_view rest = pattern.substr(pattern.empty() ? 0 : 1);
    std::vector<std::string> names;
    while (!rest.empty()) {
        const std::string_view segment = take_until(rest, '/');
        if (segment.starts_with('*') || segment.ends_with('?'))
            refuse_pattern(pattern, "a prefix is made of plain text and :name");
        const bool any = segment.starts_with(':');
        if (any) names.push_back(parameter_name(segment.substr(1), pattern, names));
        segments_.push_back(any ? std::string{} : plain_segment(segment, pattern));
    }
}

COHORT_DECL bool PathPrefix::covers(std::string_view path) const noexcept {
    for (const std::string& expected : segments_) {
        if (!path.starts_with('/')) return false;
        const std::size_t end = std::min(path.find('/', 1), path.size());
        const std::string_view segment = path.substr(1, end - 1);
        if (expected.empty() ? segment.empty() : !decodes_to(segment, expected)) return false;
        path.remove_prefix(end);
    }
    return true;
}

COHORT_DECL PathPrefix PathPrefix::then(const PathPrefix& other) const {
    PathPrefix both = *this;
    both.segments_.insert(both.segments_.end(), other.segments_.begin(), other.segments_.end());
    return both;
}

COHORT_DECL bool PathPrefix::says_more_than(const PathPrefix& other) const noexcept {
    if (segments_.size() != other.segments_.size()) return segments_.size() > other.segments_.size();
    for (std::size_t i = 0; i != segments_.size(); ++i)
        if (segments_[i].empty() != other.segments_[i].empty()) return other.segments_[i].empty();
    return false;
}

} // namespace cohort::http::detail

// SPDX-License-Identifier: MIT
// What patterns of paths are made of, and those that stand for everything below them (layer 1).
#pragma once

#include <cohort/http/detail/parse/text.hpp>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cohort::http::detail {

[[noreturn]] inline void refuse_pattern(std::string_view pattern, std::string_view why) {
    throw std::invalid_argument("http::Router: pattern \"" + std::string{pattern} + "\": " + std::string{why});
}

/// The name of a parameter, checked.
inline std::string parameter_name(std::string_view name, std::string_view pattern,
                                  const std::vector<std::string>& others) {
    for (const char c : name)
        if (!is_digit(c) && c != '_' && (to_lower(c) < 'a' || to_lower(c) > 'z'))
            refuse_pattern(pattern, "a parameter's name is made of letters, digits and _");
    if (name.empty()) refuse_pattern(pattern, "a parameter needs a name, as in /hello/:name");
    if (std::find(others.begin(), others.end(), name) != others.end())
        refuse_pattern(pattern, "the same parameter twice");
    return std::string{name};
}

/// The text that a segment of plain text stands for, checked.
inline std::string plain_segment(std::string_view segment, std::string_view pattern) {
    if (segment.empty()) refuse_pattern(pattern, "an empty segment (//)");
    if (!all_are(segment, char_line) || segment.find_first_of("*?#") != std::string_view::npos)
        refuse_pattern(pattern, "a segment is plain text, :name, :name? or *rest");
    return decode(segment, false);
}

/// Whole segments that paths begin with: plain text, or `:name`, which is any one. Paths are matched as routes are:
/// what is below a prefix for the one is below it for the other, however it is encoded.
class PathPrefix {
public:
    /// Of every path, also of "*".
    PathPrefix() = default;

    /// "" and "/" are of every path, too. Throws std::invalid_argument.
    explicit PathPrefix(std::string_view pattern) {
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

    bool covers(std::string_view path) const noexcept {
        for (const std::string& expected : segments_) {
            if (!path.starts_with('/')) return false;
            const std::size_t end = std::min(path.find('/', 1), path.size());
            const std::string_view segment = path.substr(1, end - 1);
            if (expected.empty() ? segment.empty() : !decodes_to(segment, expected)) return false;
            path.remove_prefix(end);
        }
        return true;
    }

    /// This one, and below it the other.
    PathPrefix then(const PathPrefix& other) const {
        PathPrefix both = *this;
        both.segments_.insert(both.segments_.end(), other.segments_.begin(), other.segments_.end());
        return both;
    }

    /// Of two that cover a path, the one that says more of it: more segments, or text where the other has any.
    bool says_more_than(const PathPrefix& other) const noexcept {
        if (segments_.size() != other.segments_.size()) return segments_.size() > other.segments_.size();
        for (std::size_t i = 0; i != segments_.size(); ++i)
            if (segments_[i].empty() != other.segments_[i].empty()) return other.segments_[i].empty();
        return false;
    }

    bool operator==(const PathPrefix&) const = default;

private:
    std::vector<std::string> segments_; ///< an empty one is any
};

} // namespace cohort::http::detail

// SPDX-License-Identifier: MIT
// The parts of path patterns, and prefixes that stand for everything below them (layer 1).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cohort::http::detail {

[[noreturn]] void refuse_pattern(std::string_view pattern, std::string_view why);

/// The name of a parameter, checked.
std::string parameter_name(std::string_view name, std::string_view pattern, const std::vector<std::string>& others);

/// The text that a segment of plain text stands for, checked.
std::string plain_segment(std::string_view segment, std::string_view pattern);

/// A prefix of whole segments: plain text, or `:name`, which matches any one. It compares as RouteTable does, whatever
/// the percent-encoding, so that no path is below a prefix for only one of them.
class PathPrefix {
public:
    /// Covers every path, also "*".
    PathPrefix() = default;

    /// "" and "/" cover every path, too. Throws std::invalid_argument.
    explicit PathPrefix(std::string_view pattern);

    bool covers(std::string_view path) const noexcept;

    /// The segments of this one, followed by those of the other.
    PathPrefix then(const PathPrefix& other) const;

    /// Whether it is the more specific of two that cover a path: more segments, or text where the other has `:name`.
    bool says_more_than(const PathPrefix& other) const noexcept;

    bool operator==(const PathPrefix&) const = default;

private:
    std::vector<std::string> segments_; ///< an empty one matches any
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/route/pattern.ipp>
#endif

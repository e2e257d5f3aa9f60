// SPDX-License-Identifier: MIT
// What patterns of paths are made of, and those that stand for everything below them (layer 1).
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

/// Whole segments that paths begin with: plain text, or `:name`, which is any one. Paths are matched as routes are:
/// what is below a prefix for the one is below it for the other, however it is encoded.
class PathPrefix {
public:
    /// Of every path, also of "*".
    PathPrefix() = default;

    /// "" and "/" are of every path, too. Throws std::invalid_argument.
    explicit PathPrefix(std::string_view pattern);

    bool covers(std::string_view path) const noexcept;

    /// This one, and below it the other.
    PathPrefix then(const PathPrefix& other) const;

    /// Of two that cover a path, the one that says more of it: more segments, or text where the other has any.
    bool says_more_than(const PathPrefix& other) const noexcept;

    bool operator==(const PathPrefix&) const = default;

private:
    std::vector<std::string> segments_; ///< an empty one is any
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/route/pattern.ipp>
#endif

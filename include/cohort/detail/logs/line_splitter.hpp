// SPDX-License-Identifier: MIT
// LineSplitter: the lines in a stream of bytes, however they are cut on the way (layer 1).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace cohort::detail {

struct Line {
    std::string_view text; ///< without its newline
    bool goes_on = false;  ///< it was too long: the next one has its rest
};

class LineSplitter {
public:
    explicit LineSplitter(std::size_t longest) noexcept : longest_(longest) {}

    /// Call it when next() has nothing more; `bytes` must stay until then.
    void feed(std::string_view bytes) noexcept { input_ = bytes; }
    /// The next line that is complete, or too long. Valid until the next call of any of these functions.
    std::optional<Line> next();
    /// At the end of the stream: what stands behind the last newline is a line, too.
    std::optional<Line> rest();

private:
    void drop_given();
    Line give_begun(std::size_t size, bool goes_on);

    std::size_t longest_;
    std::string begun_;     // of a line whose end has not come
    std::size_t given_ = 0; // how much of it was given out
    std::string_view input_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/line_splitter.ipp>
#endif

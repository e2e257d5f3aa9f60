// SPDX-License-Identifier: MIT
// The bodies of line_splitter.hpp (layer 1).
#pragma once

#include <cohort/detail/logs/line_splitter.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

constexpr bool is_continuation(char byte) noexcept { return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80; }

/// How much of the text to take, of which all is too long, so that no character of UTF-8 is cut. `next`: behind it.
COHORT_DECL std::size_t whole_characters(std::string_view text, char next) noexcept {
    constexpr std::size_t longest_character = 4;
    std::size_t size = text.size();
    if (!is_continuation(next)) return size;
    while (size > 1 && text.size() - size < longest_character) {
        --size;
        if (!is_continuation(text[size])) return size;
    }
    return text.size(); // it is no UTF-8
}

/// What is left begins the next line. A long line's memory is given back: there are many streams.
COHORT_DECL void LineSplitter::drop_given() {
    if (given_ == 0) return;
    constexpr std::size_t modest = 512;
    begun_.erase(0, given_);
    if (begun_.empty() && begun_.capacity() > modest) std::string().swap(begun_);
    given_ = 0;
}

COHORT_DECL Line LineSplitter::give_begun(std::size_t size, bool goes_on) {
    given_ = size;
    return {std::string_view(begun_).substr(0, size), goes_on};
}

COHORT_DECL std::optional<Line> LineSplitter::next() {
    drop_given();
    const std::size_t room = longest_ - begun_.size();
    const std::size_t end = input_.substr(0, room + 1).find('\n');
    if (end != std::string_view::npos) {
        const std::string_view text = input_.substr(0, end);
        input_.remove_prefix(end + 1);
        if (begun_.empty()) return Line{text};
        begun_.append(text);
        return give_begun(begun_.size(), false);
    }
    begun_.append(input_.substr(0, room));
    input_.remove_prefix(input_.size() < room ? input_.size() : room);
    if (input_.empty()) return std::nullopt;
    return give_begun(whole_characters(begun_, input_.front()), true);
}

COHORT_DECL std::optional<Line> LineSplitter::rest() {
    drop_given();
    if (begun_.empty()) return std::nullopt;
    return give_begun(begun_.size(), false);
}

} // namespace cohort::detail

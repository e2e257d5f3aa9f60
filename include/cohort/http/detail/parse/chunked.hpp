// SPDX-License-Identifier: MIT
// Takes the chunked transfer coding off a body, strictly (layer 1).
#pragma once

#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/limits.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cohort::http::detail {

/// RFC 9112 section 7.1, to the letter. llhttp decodes this too, but how strictly depends on its version, and what
/// frames a body decides where the next request begins: two parsers that disagree there allow request smuggling.
class ChunkDecoder {
public:
    /// What was taken from the input: `consumed` bytes, of which `data` is body; status is 0 or that of the refusal.
    struct Step {
        std::size_t consumed = 0;
        std::string_view data;
        int status = 0;
    };

    void reset() noexcept { *this = ChunkDecoder{}; }
    bool done() const noexcept { return state_ == State::done; }

    /// Goes on until there is data to give, the body ends, or the input does.
    Step next(std::string_view input, const Limits& limits) noexcept {
        Step step;
        while (step.consumed != input.size() && !done()) {
            if (state_ == State::data) {
                const auto count = std::min<std::uint64_t>(chunk_, input.size() - step.consumed);
                step.data = input.substr(step.consumed, static_cast<std::size_t>(count));
                step.consumed += step.data.size();
                chunk_ -= count;
                if (chunk_ == 0) state_ = State::data_cr;
                return step;
            }
            step.status = take(input[step.consumed++], limits);
            if (step.status != 0) return step;
        }
        return step;
    }

private:
    enum class State : std::uint8_t {
        first_digit,
        digits,
        before_semicolon,
        name_begin,
        name,
        before_equals,
        value_begin,
        value,
        quoted,
        quoted_pair,
        quoted_end,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer_begin,
        trailer_name,
        trailer_value,
        trailer_lf,
        end_lf,
        done,
    };

    int move_to(State state) noexcept { return state_ = state, 0; }
    int expect(char c, char wanted, State next) noexcept { return c == wanted ? move_to(next) : 400; }

    int take(char c, const Limits& limits) noexcept {
        switch (state_) {
            case State::first_digit: chunk_ = 0, digits_ = 0, extension_ = 0; return take_digit(c);
            case State::digits: return hex_value(c) < 0 ? end_part(c, limits) : take_digit(c);
            case State::size_lf: return c == '\n' ? begin_chunk(limits) : 400;
            case State::data_cr: return expect(c, '\r', State::data_lf);
            case State::data_lf: return expect(c, '\n', State::first_digit);
            case State::end_lf: return expect(c, '\n', State::done);
            case State::trailer_begin:
            case State::trailer_name:
            case State::trailer_value:
            case State::trailer_lf: return take_trailer(c, limits);
            default: return take_extension(c, limits);
        }
    }

    int take_digit(char c) noexcept {
        const int value = hex_value(c);
        if (value < 0 || ++digits_ > 16) return 400;
        chunk_ = chunk_ * 16 + static_cast<unsigned>(value);
        return move_to(State::digits);
    }

    /// What may follow the size, a name, or a value: the end of the line, or the next extension.
    int end_part(char c, const Limits& limits) noexcept {
        if (c == '\r') return move_to(State::size_lf);
        if (c != ';' && !is_blank(c)) return 400;
        return count_extension(limits, c == ';' ? State::name_begin : State::before_semicolon);
    }

    int count_extension(const Limits& limits, State next) noexcept {
        if (++extension_ > limits.chunk_extension || ++extensions_ > limits.chunk_extensions) return 413;
        return move_to(next);
    }

    /// RFC 9112 section 7.1.1: names with values or none, checked and ignored. Whitespace around ';' and '=' is bad
    /// style of a sender, but must be read.
    int take_extension(char c, const Limits& limits) noexcept {
        const auto take_if = [&](bool valid, State next) { return valid ? count_extension(limits, next) : 400; };
        switch (state_) {
            case State::before_semicolon:
                return take_if(c == ';' || is_blank(c), c == ';' ? State::name_begin : State::before_semicolon);
            case State::name_begin:
                return take_if(is(c, char_token) || is_blank(c), is_blank(c) ? State::name_begin : State::name);
            case State::name:
                if (is(c, char_token)) return count_extension(limits, State::name);
                if (c == '=') return count_extension(limits, State::value_begin);
                return is_blank(c) ? count_extension(limits, State::before_equals) : end_part(c, limits);
            case State::before_equals:
                if (c == '=') return count_extension(limits, State::value_begin);
                return take_if(c == ';' || is_blank(c), c == ';' ? State::name_begin : State::before_equals);
            case State::value_begin:
                if (c == '"') return count_extension(limits, State::quoted);
                return take_if(is(c, char_token) || is_blank(c), is_blank(c) ? State::value_begin : State::value);
            case State::value: return is(c, char_token) ? count_extension(limits, State::value) : end_part(c, limits);
            case State::quoted:
                if (c == '"') return count_extension(limits, State::quoted_end);
                return take_if(is(c, char_line), c == '\\' ? State::quoted_pair : State::quoted);
            case State::quoted_pair: return take_if(is(c, char_line), State::quoted);
            default: return end_part(c, limits);
        }
    }

    int begin_chunk(const Limits& limits) noexcept {
        if (chunk_ == 0) return move_to(State::trailer_begin);
        if (chunk_ > limits.body || total_ > limits.body - chunk_) return 413;
        total_ += chunk_;
        return move_to(State::data);
    }

    /// Trailers are checked and dropped: merged into the fields they could forge them (RFC 9110 section 6.5.1).
    int take_trailer(char c, const Limits& limits) noexcept {
        if (++trailers_ > limits.trailers) return 431;
        switch (state_) {
            case State::trailer_begin:
                if (c == '\r') return move_to(State::end_lf);
                return is(c, char_token) ? move_to(State::trailer_name) : 400;
            case State::trailer_name:
                if (c == ':') return move_to(State::trailer_value);
                return is(c, char_token) ? 0 : 400;
            case State::trailer_value:
                if (c == '\r') return move_to(State::trailer_lf);
                return is(c, char_line) ? 0 : 400;
            default: return expect(c, '\n', State::trailer_begin);
        }
    }

    std::uint64_t chunk_ = 0;
    std::uint64_t total_ = 0;
    std::size_t extension_ = 0;
    std::size_t extensions_ = 0;
    std::size_t trailers_ = 0;
    unsigned digits_ = 0;
    State state_ = State::first_digit;
};

} // namespace cohort::http::detail

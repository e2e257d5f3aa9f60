// SPDX-License-Identifier: MIT
// What the fuzz targets of HTTP have in common: inputs to begin with, and how they are cut.
#pragma once

#include "target.hpp"

#include <support/http_rules.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz {

/// An input in pieces, whose sizes stand in front of it; without any, in single bytes.
class Pieces {
public:
    Pieces(Script& script, std::uint8_t setting) : sizes_(script.take(setting % 8)), rest_(script.rest()) {}
    static Pieces whole(std::string_view input) {
        Pieces pieces(input);
        pieces.whole_ = true;
        return pieces;
    }

    bool done() const { return rest_.empty(); }
    std::string_view next() {
        const std::string_view piece = rest_.substr(0, whole_ ? rest_.size() : next_size());
        rest_.remove_prefix(piece.size());
        return piece;
    }

private:
    explicit Pieces(std::string_view input) : rest_(input) {}
    std::size_t next_size() {
        return sizes_.empty() ? 1 : 1 + std::size_t{static_cast<unsigned char>(sizes_[number_++ % sizes_.size()])};
    }

    std::string_view sizes_;
    std::string_view rest_;
    std::size_t number_ = 0;
    bool whole_ = false;
};

/// Every rule is one: under the limits it is made for, in pieces of three octets and of one hundred.
inline std::vector<std::string> http_seeds() {
    std::vector<std::string> seeds;
    for (const test::HttpSection& section : test::http_rules())
        for (const test::HttpRule& rule : section.rules) {
            std::string seed(1, static_cast<char>((2 << 1) + (rule.small ? 1 : 0)));
            seed.append("\x02\x63").append(rule.input());
            if (seed.size() <= 1024) seeds.push_back(std::move(seed));
        }
    return seeds;
}

} // namespace fuzz

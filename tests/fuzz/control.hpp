// SPDX-License-Identifier: MIT
// What the two targets about the control socket have in common: actions that give their argument back.
#pragma once

#include <cohort/control.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fuzz {

/// What a program's own action might take.
struct Tree {
    std::string name;
    std::vector<Tree> below;
    std::optional<std::uint64_t> number;
};

template <class T>
cohort::Task<T> give_back(const T& argument) {
    co_return argument;
}

template <class T>
std::string encoded(const T& value) {
    cohort::detail::Buffer out;
    cohort::encode(value, out);
    return {reinterpret_cast<const char*>(out.data()), out.size()};
}

} // namespace fuzz

// SPDX-License-Identifier: MIT
// What the commands print.
#pragma once

#include "app.hpp"

#include <cstddef>
#include <string>

namespace manager {

/// How it may be printed: on a terminal in its width and in colour, unless NO_COLOR is set (no-color.org); elsewhere
/// in full.
struct Look {
    std::size_t width = 0; ///< columns; 0: as many as it takes
    bool coloured = false;

    static Look of(int descriptor);
};

/// A line for each instance, and one for each app that has none.
std::string table_of(const AppList& list, const Look& look);
/// An array with an object for each app.
std::string json_of(const AppList& list);

} // namespace manager

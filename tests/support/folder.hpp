// SPDX-License-Identifier: MIT
// A folder of its own for a test's paths.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace test {

struct Folder {
    std::filesystem::path path = [] {
        std::string text = (std::filesystem::temp_directory_path() / "cohort-XXXXXX").string();
        REQUIRE(::mkdtemp(text.data()) != nullptr);
        return std::filesystem::path(text);
    }();
    ~Folder() { std::filesystem::remove_all(path); }

    std::string operator/(const std::string& name) const { return (path / name).string(); }
};

} // namespace test

// SPDX-License-Identifier: MIT
// A folder of its own for a test's paths.
#pragma once

#include <filesystem>
#include <string>

namespace test {

struct Folder {
    std::filesystem::path path;

    Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder();

    std::string operator/(const std::string& name) const;
};

} // namespace test

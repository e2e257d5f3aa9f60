// SPDX-License-Identifier: MIT
#include "folder.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

namespace test {

Folder::Folder() {
    std::string text = (std::filesystem::temp_directory_path() / "cohort-XXXXXX").string();
    REQUIRE(::mkdtemp(text.data()) != nullptr);
    path = text;
}

Folder::~Folder() { std::filesystem::remove_all(path); }

std::string Folder::operator/(const std::string& name) const { return (path / name).string(); }

} // namespace test

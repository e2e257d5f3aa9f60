// SPDX-License-Identifier: MIT
// A tree of control groups that is made of plain files, and the file that says where a process is in it.
#pragma once

#include "folder.hpp"

#include <cohort/detail/system/cgroup.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace test {

struct CgroupTree {
    CgroupTree(const std::string& membership, const std::map<std::string, std::string>& files) {
        std::ofstream(folder / "membership") << membership;
        for (const auto& [path, text] : files) {
            const std::filesystem::path file = folder / ("mount/" + path);
            std::filesystem::create_directories(file.parent_path());
            std::ofstream(file) << text;
        }
    }

    Folder folder;
    cohort::detail::CgroupPlace place{folder / "mount", folder / "membership"};
};

} // namespace test

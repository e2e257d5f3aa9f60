// SPDX-License-Identifier: MIT
#include <cohort/detail/socket/private_folder.hpp>

#include <doctest/doctest.h>

#include <support/folder.hpp>

#include <filesystem>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

using cohort::detail::prepare_folder_of;

namespace {

namespace fs = std::filesystem;

unsigned mode_of_file(const std::string& path) {
    struct stat file {};
    ::stat(path.c_str(), &file);
    return file.st_mode & 07777;
}

} // namespace

TEST_CASE("a folder that is missing is made for this user alone, whatever the umask is") {
    const test::Folder folder;
    for (const mode_t mask : {0000U, 0022U, 0777U}) {
        const mode_t before = ::umask(mask);
        const std::string name = std::to_string(mask);
        const auto of_mine = prepare_folder_of(folder / (name + "/socket"), false);
        const auto for_others = prepare_folder_of(folder / (name + " open/socket"), true);
        ::umask(before);
        CHECK_FALSE(of_mine);
        CHECK_FALSE(for_others);
        CHECK(mode_of_file(folder / name) == 0700);
        CHECK(mode_of_file(folder / (name + " open")) == 0711);
    }
}

TEST_CASE("a folder in which others may replace files is refused, and one that is there stays as it is") {
    const test::Folder folder;
    struct Row {
        mode_t mode;
        bool is_good;
    };
    for (const Row row :
         {Row{0700, true}, Row{0755, true}, Row{01777, true}, Row{0770, false}, Row{0702, false}, Row{0777, false}}) {
        CAPTURE(row.mode);
        const std::string path = folder / std::to_string(row.mode);
        fs::create_directory(path);
        ::chmod(path.c_str(), row.mode);
        const auto error = prepare_folder_of(path + "/socket", false);
        CHECK(error == (row.is_good ? std::error_code() : std::error_code(EPERM, std::system_category())));
        CHECK(mode_of_file(path) == row.mode);
    }
}

TEST_CASE("a folder that cannot be made, or is somebody else's, is an error") {
    const test::Folder folder;
    CHECK(prepare_folder_of(folder / "missing/one/socket", false) == std::errc::no_such_file_or_directory);
    CHECK(prepare_folder_of(std::string(COHORT_SOURCE_DIR) + "/README.md/socket", false) == std::errc::not_a_directory);
    CHECK_FALSE(prepare_folder_of("/socket", false));
    if (::geteuid() != 0) return;
    const std::string theirs = folder / "theirs";
    fs::create_directory(theirs);
    ::chmod(theirs.c_str(), 0700);
    REQUIRE(::chown(theirs.c_str(), 65534, 65534) == 0);
    CHECK(prepare_folder_of(theirs + "/socket", false) == std::errc::operation_not_permitted);
    const std::string link = folder / "link";
    fs::create_directory(folder / "mine");
    fs::create_directory_symlink(folder / "mine", link);
    CHECK_FALSE(prepare_folder_of(link + "/socket", false));
    REQUIRE(::lchown(link.c_str(), 65534, 65534) == 0);
    CHECK(prepare_folder_of(link + "/socket", false) == std::errc::operation_not_permitted);
}

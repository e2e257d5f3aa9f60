// SPDX-License-Identifier: MIT
#include <cohort/detail/system/own_link.hpp>

#include <doctest/doctest.h>

#include <support/folder.hpp>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <fcntl.h>
#include <unistd.h>

using cohort::detail::open_by_own_links;

namespace {

namespace fs = std::filesystem;

/// 0: it was opened; else errno.
int error_of_following(const std::string& path, int flags = O_RDONLY) {
    return open_by_own_links(path, flags | O_CLOEXEC, 0600) ? 0 : errno;
}

/// What those may do who may write in a folder that is not theirs.
void give_away(const std::string& link) {
    constexpr uid_t somebody = 65'534;
    REQUIRE(::lchown(link.c_str(), somebody, somebody) == 0);
}

} // namespace

TEST_CASE("links of this user are followed, wherever they lead") {
    const test::Folder folder;
    std::ofstream(folder / "file") << "content";
    fs::create_directory(folder / "beneath");
    fs::create_symlink("file", folder / "relative");
    fs::create_symlink(folder / "file", folder / "absolute");
    fs::create_symlink("../relative", folder / "beneath/chain");
    fs::create_symlink("missing", folder / "dangling");
    fs::create_symlink("loop", folder / "loop");
    CHECK(error_of_following(folder / "file") == 0);
    CHECK(error_of_following(folder / "relative") == 0);
    CHECK(error_of_following(folder / "absolute") == 0);
    CHECK(error_of_following(folder / "beneath/chain") == 0);
    CHECK(error_of_following(folder / "dangling") == ENOENT);
    CHECK(error_of_following(folder / "loop") == ELOOP);
    CHECK(error_of_following(folder / "dangling", O_WRONLY | O_CREAT) == 0);
    CHECK(fs::is_regular_file(folder / "missing"));
    CHECK(error_of_following(folder / "none") == ENOENT);
}

TEST_CASE("no link of others is followed, not even behind an own one" * doctest::skip(::geteuid() != 0)) {
    const test::Folder folder;
    std::ofstream(folder / "file") << "content";
    fs::create_symlink("file", folder / "theirs");
    fs::create_symlink("theirs", folder / "mine");
    fs::create_symlink("missing", folder / "dangling");
    fs::create_symlink("/proc/self/fd/0", folder / "open");
    for (const char* const name : {"theirs", "dangling", "open"}) give_away(folder / name);
    for (const char* const name : {"theirs", "mine", "dangling", "open"}) {
        CAPTURE(name);
        CHECK(error_of_following(folder / name, O_WRONLY | O_CREAT) == ELOOP);
    }
    CHECK_FALSE(fs::exists(folder / "missing"));
}

TEST_CASE("what stands for an open file is that file, also when it has no name any more") {
    const test::Folder folder;
    const cohort::detail::UniqueFd file(::open((folder / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(::write(file.get(), "content", 7) == 7);
    const std::string by_number = "/proc/self/fd/" + std::to_string(file.get());
    fs::create_symlink(by_number, folder / "link");
    fs::remove(folder / "file");
    for (const std::string& path : {by_number, folder / "link"}) {
        CAPTURE(path);
        const cohort::detail::UniqueFd again = open_by_own_links(path, O_RDONLY | O_CLOEXEC);
        REQUIRE(again);
        char text[8] = {};
        CHECK(::read(again.get(), text, sizeof text) == 7);
    }
    CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1); // nothing was made
}

// SPDX-License-Identifier: MIT
// Options::logs: the file, whatever others do with it, and a disk or a reader that takes nothing.
#include <cohort/master.hpp>

#include "support/logs.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace test;
namespace fs = std::filesystem;

namespace {

/// More than there will be room for.
constexpr int too_many = 120'000;

Task<> repeat(App::Worker& self) {
    while (const auto note = co_await self.receive()) write_line(note->text);
}

bool ends_with(const std::vector<std::string>& lines, const std::string& text) {
    return !lines.empty() && lines.back().ends_with(": " + text);
}

/// Has the worker write a line, and waits until it is the last one of this file.
Task<> write_to(App& app, std::string path, std::string text) {
    co_await tell(app, 1, text);
    auto wait = until(app.context(), [path, text] { return ends_with(lines_of_file(path), text); });
    const bool has_come = co_await std::move(wait);
    CHECK_MESSAGE(has_come, text);
}

bool is_complete(const std::vector<std::string>& lines, int count = many) {
    const auto numbers = numbers_in(lines);
    return std::ranges::is_sorted(numbers) && std::ranges::adjacent_find(numbers) == numbers.end() &&
           static_cast<int>(numbers.size()) + lost_in(lines) == count;
}

} // namespace

TEST_CASE("a file that is renamed or deleted is followed by a new one, and nothing is lost") {
    const Log log;
    in_master<App>(log.options(), [&log](App& app) -> Task<> {
        const std::string path = log.path();
        app.spawn(repeat);
        co_await write_to(app, path, "one");
        fs::rename(path, path + ".old");
        co_await write_to(app, path, "two");
        CHECK(ends_with(lines_of_file(path + ".old"), "one"));
        CHECK(lines_of_file(path).size() == 1);
        fs::remove(path);
        co_await write_to(app, path, "three");
        CHECK(lines_of_file(path).size() == 1);
        std::ofstream(path + ".new") << "of somebody else\nin the midst of a line";
        fs::rename(path + ".new", path);
        co_await write_to(app, path, "four");
        CHECK(lines_of_file(path).size() == 3);
        fs::rename(path, path + ".older");
        app.reopen_logs();
        auto wait = until(app.context(), [path] { return fs::exists(path); });
        CHECK(co_await std::move(wait)); // although nobody has written anything
        co_await write_to(app, path, "five");
        app.reopen_logs(); // the same file
        co_await write_to(app, path, "six");
        CHECK(lines_of_file(path).size() == 2);
        co_await app.stop();
    });
}

TEST_CASE("files do not get larger than they may; the former ones are kept, compressed, and go in the end") {
    const Log log;
    constexpr std::uint64_t most = many * 12; // a fifth of them all
    Options options = log.options();
    options.logs->rotate_size = most;
    options.logs->compress = true;
    bool keeps_all = true;
    SUBCASE("all") { options.logs->keep = 100; }
    SUBCASE("two") {
        options.logs->keep = 2;
        keeps_all = false;
    }
    SUBCASE("none") {
        options.logs->keep = 0;
        options.logs->compress = false;
        keeps_all = false;
    }
    const std::string path = log.path();
    in_master<App>(options, [&](App& app) -> Task<> {
        app.spawn(write_lines<>);
        co_await all_events(app);
        if (options.logs->compress) {
            auto wait = until(app.context(), [path] { return fs::exists(path + ".2.gz") && !fs::exists(path + ".2"); });
            CHECK(co_await std::move(wait));
        }
    });
    for (const auto& entry : fs::directory_iterator(log.folder.path)) CHECK(entry.file_size() <= most);
    CHECK_FALSE(fs::exists(path + ".gz.part"));
    const auto lines = log.lines();
    if (keeps_all) {
        CHECK(is_complete(lines));
        return;
    }
    const auto numbers = numbers_in(lines);
    REQUIRE_FALSE(numbers.empty());
    CHECK(numbers.back() == many - 1);
    CHECK(std::ranges::adjacent_find(numbers, [](int one, int next) { return next != one + 1; }) == numbers.end());
    const auto files = std::distance(fs::directory_iterator(log.folder.path), fs::directory_iterator());
    CHECK(files == options.logs->keep + 1);
}

namespace {

std::vector<std::string> packed_files(const Log& log) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(log.folder.path))
        if (entry.path().extension() == ".gz") found.push_back(entry.path().string());
    return found;
}

} // namespace

TEST_CASE("what others have put among the former files holds up no log, and those that are logs are packed") {
    const Log log;
    Options options = log.options();
    options.logs->rotate_size = 200;
    options.logs->compress = true;
    const std::string others = log.path() + ".2";
    SUBCASE("a pipe") { REQUIRE(::mkfifo(others.c_str(), 0600) == 0); }
    SUBCASE("a folder") { fs::create_directory(others); }
    SUBCASE("a link to a file that others may not read") { fs::create_symlink("/etc/shadow", others); }
    SUBCASE("a link to itself") { fs::create_symlink(others, others); }
    in_master<App>(options, [&log](App& app) -> Task<> {
        app.spawn(repeat);
        for (int i = 0; i != 10; ++i) co_await write_to(app, log.path(), std::to_string(i));
        auto wait = until(app.context(), [&log] { return !packed_files(log).empty(); });
        CHECK(co_await std::move(wait));
        co_await app.stop();
    });
    for (const std::string& file : packed_files(log))
        for (const std::string& line : lines_of_file(file)) CHECK_FALSE(without_time(line).empty());
}

TEST_CASE("a file of yesterday is a former one when the first line of today comes") {
    const Log log;
    Options options = log.options();
    options.logs->rotate_every = std::chrono::hours(24);
    std::ofstream(log.path()) << "2026-11-29T23:59:59.999999Z cohort: yesterday\n";
    fs::last_write_time(log.path(), fs::file_time_type::clock::now() - std::chrono::hours(24));
    in_master<App>(options, [&log](App& app) -> Task<> {
        app.spawn(repeat);
        co_await write_to(app, log.path(), "today");
        CHECK(lines_of_file(log.path()).size() == 1);
        CHECK(ends_with(lines_of_file(log.path() + ".1"), "yesterday"));
        co_await app.stop();
    });
}

TEST_CASE("two masters, as in an upgrade, write to one log and rotate it") {
    const Log log;
    Options options = log.options();
    options.logs->rotate_size = 150'000;
    options.logs->keep = 200;
    options.logs->compress = true;
    const auto write = [&options] {
        in_master<App>(options, [](App& app) -> Task<> {
            app.spawn(write_lines<>);
            co_await all_events(app);
        });
        return 0;
    };
    {
        Helper one(write);
        Helper other(write);
        CHECK(one.wait().code() == 0);
        CHECK(other.wait().code() == 0);
    }
    const auto lines = log.lines();
    std::vector<int> times(many);
    for (const int number : numbers_in(lines)) ++times[static_cast<std::size_t>(number)];
    if (lost_in(lines) == 0) CHECK(std::ranges::count(times, 2) == many);
    CHECK(static_cast<int>(numbers_in(lines).size()) + lost_in(lines) == 2 * many);
}

namespace {

/// While nothing can be written: the worker ends all the same.
void write_in_vain(const Options& options, const std::function<void()>& make_room) {
    in_master<App>(options, [&make_room](App& app) -> Task<> {
        app.spawn(write_lines<too_many>);
        co_await all_events(app);
        make_room();
    });
}

} // namespace

TEST_CASE("a link is followed if it is this user's, and nobody else's") {
    const Log log;
    in_master<App>(log.options(), [](App& app) -> Task<> { co_await app.stop(); });
    fs::rename(log.path(), log.folder / "elsewhere");
    fs::create_symlink("elsewhere", log.path());
    in_master<App>(log.options(), [&log](App& app) -> Task<> {
        const std::string elsewhere = log.folder / "elsewhere", others = log.folder / "of others";
        app.spawn(repeat);
        co_await write_to(app, elsewhere, "one");
        if (::geteuid() == 0) { // whoever may write in the folder
            fs::remove(log.path());
            fs::create_symlink(others, log.path());
            CHECK(::lchown(log.path().c_str(), 65'534, 65'534) == 0);
            app.reopen_logs();
            co_await write_to(app, elsewhere, "two"); // the file that is open
            CHECK_FALSE(fs::exists(others));
            fs::remove(log.path());
            co_await write_to(app, log.path(), "three");
        }
        co_await app.stop();
    });
}

TEST_CASE("a log that cannot be rotated goes on as it is") {
    const Log log;
    Options options = log.options();
    options.logs->rotate_size = 200;
    options.logs->keep = 1;
    fs::create_directory(log.path() + ".1");
    std::ofstream(log.path() + ".1/file") << "in the way";
    constexpr int count = 20;
    in_master<App>(options, [&log](App& app) -> Task<> {
        app.spawn(repeat);
        for (int i = 0; i != count; ++i) co_await write_to(app, log.path(), std::to_string(i));
        co_await app.stop();
    });
    CHECK(lines_of_file(log.path()).size() == count);
}

TEST_CASE("a file that may not grow holds up no worker; what is lost is counted, and no line is torn") {
    const Log log;
    const std::string path = log.path();
    Helper helper([&] {
        constexpr rlim_t most = 3'000'000;
        const rlimit size{most, most};
        ::setrlimit(RLIMIT_FSIZE, &size);
        ::close(STDERR_FILENO); // there it says so
        write_in_vain(log.options(), [&path] { fs::rename(path, path + ".1"); });
        return 0;
    });
    CHECK(helper.wait().code() == 0);
    const auto lines = log.lines();
    CHECK(lost_in(lines) > 0);
    CHECK(is_complete(lines, too_many));
}

TEST_CASE("a full disk holds up no worker; when there is room again the log goes on") {
    const Log log;
    const Log copy;
    Helper helper([&] {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("none", log.folder.path.c_str(), "tmpfs", 0, "size=16m") != 0)
            return 77;
        const std::string filler = log.folder / "filler";
        std::ofstream(filler) << std::string(16'000'000, 'x');
        ::close(STDERR_FILENO);
        write_in_vain(log.options(), [&filler] { fs::remove(filler); });
        fs::copy_file(log.path(), copy.path());
        return 0;
    });
    const auto code = helper.wait().code();
    if (code == 77) {
        MESSAGE("this user may not mount a file system: skipped");
        return;
    }
    CHECK(code == 0);
    const auto lines = copy.lines();
    CHECK(lost_in(lines) > 0);
    CHECK(is_complete(lines, too_many));
}

namespace {

std::string read_all(int fd) {
    std::string all;
    char buffer[4096];
    for (ssize_t size = 0; (size = ::read(fd, buffer, sizeof buffer)) > 0;)
        all.append(buffer, static_cast<std::size_t>(size));
    return all;
}

} // namespace

TEST_CASE("without a path the log is standard error, and nobody waits for whoever reads there") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    Helper helper([&ends] {
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[1]);
        Options options = plain_options();
        options.logs.emplace();
        write_in_vain(options, [] { write_line("written"); });
        return 0;
    });
    ::close(ends[1]);
    bool reads = true;
    SUBCASE("who reads when all is over") {}
    SUBCASE("who never reads") { reads = false; }
    helper.after("written");
    if (reads) {
        const Log log;
        std::ofstream(log.path()) << read_all(ends[0]);
        CHECK(lost_in(log.lines()) > 0);
        CHECK(is_complete(log.lines(), too_many));
    }
    CHECK(helper.wait().code() == 0);
    ::close(ends[0]);
}

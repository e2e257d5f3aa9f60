// SPDX-License-Identifier: MIT
// The shape of the library, read from the headers themselves: layers, form, and a test for each public header.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

/// The private folders, from the ground up: a header in one of them reaches only those that stand before it, whatever
/// it includes on the way. This is the order in which to read the library.
const std::vector<std::string> folders = {
    "detail",
    "detail/system",
    "detail/socket",
    "detail/serialize",
    "detail/policy",
    "detail/async",
    "detail/logs",
    "detail/channel",
    "detail/control",
    "detail/listen",
    "detail/worker",
    "detail/process",
    "detail/reload",
    "detail/upgrade",
    "detail/supervise",
    "detail/control_socket",
    "http/detail/parse",
    "http/detail/respond",
    "http/detail/route",
    "http/detail/serve",
};

/// Where a private header stands in `folders`; the number of folders for a public one, and one more for a folder that
/// is not listed.
std::size_t place_of(const std::string& name) {
    if (name.find("/detail/") == std::string::npos) return folders.size();
    const std::string folder = fs::path(name).parent_path().lexically_relative("cohort").string();
    const auto found = std::find(folders.begin(), folders.end(), folder);
    return found == folders.end() ? folders.size() + 1 : static_cast<std::size_t>(found - folders.begin());
}

/// What one header says about itself.
struct Header {
    std::vector<std::string> lines;
    std::vector<std::string> includes; // as written, without the brackets
    int layer = -1;
};

std::vector<std::string> lines_of(const fs::path& file) {
    std::vector<std::string> lines;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

/// The name in an include line, or nothing.
std::string included(const std::string& line) {
    const std::string_view keyword = "#include ";
    if (!line.starts_with(keyword)) return {};
    const auto end = line.find_first_of(">\"", keyword.size() + 1);
    return line.substr(keyword.size() + 1, end - keyword.size() - 1);
}

int stated_layer(const std::string& line) {
    const std::string_view before = "(layer ";
    const auto at = line.find(before);
    if (at == std::string::npos || at + before.size() + 1 >= line.size()) return -1;
    const char digit = line[at + before.size()];
    return digit >= '0' && digit <= '9' && line[at + before.size() + 1] == ')' ? digit - '0' : -1;
}

const fs::path source_dir = COHORT_SOURCE_DIR;

/// Behind this line a header includes bodies, which are looked at by themselves.
constexpr std::string_view header_only = "#if !defined(COHORT_SEPARATE_COMPILATION)";

/// All headers, and the files of their bodies, by the name under which they are included. Not cohort/src.hpp, which has
/// them all.
const std::map<std::string, Header>& headers() {
    static const auto all = [] {
        std::map<std::string, Header> found;
        const fs::path root = source_dir / "include";
        for (const auto& entry : fs::recursive_directory_iterator(root)) {
            const auto extension = entry.path().extension();
            if ((extension != ".hpp" && extension != ".ipp") || entry.path().filename() == "src.hpp") continue;
            Header header;
            header.lines = lines_of(entry.path());
            for (const auto& line : header.lines) {
                if (line == header_only) break;
                if (auto name = included(line); !name.empty()) header.includes.push_back(name);
            }
            if (header.lines.size() > 1) header.layer = stated_layer(header.lines[1]);
            found.emplace(fs::relative(entry.path(), root).string(), std::move(header));
        }
        return found;
    }();
    return all;
}

bool is_ours(const std::string& name) { return headers().contains(name); }

/// For users to include.
bool is_public(const std::string& name) { return name.ends_with(".hpp") && name.find("/detail/") == std::string::npos; }

/// The header and all that it includes, directly or not.
std::set<std::string> reach(const std::string& name) {
    std::set<std::string> seen;
    std::vector<std::string> open{name};
    while (!open.empty()) {
        const std::string next = open.back();
        open.pop_back();
        if (!is_ours(next) || !seen.insert(next).second) continue;
        const auto& more = headers().at(next).includes;
        open.insert(open.end(), more.begin(), more.end());
    }
    return seen;
}

std::string first_include(const fs::path& file) {
    for (const auto& line : lines_of(file))
        if (auto name = included(line); !name.empty()) return name;
    return {};
}

} // namespace

TEST_CASE("every header begins with licence, sentence with layer, and pragma once") {
    REQUIRE_FALSE(headers().empty());
    for (const auto& [name, header] : headers()) {
        CAPTURE(name);
        REQUIRE(header.lines.size() > 3);
        CHECK(header.lines[0] == "// SPDX-License-Identifier: MIT");
        CHECK(header.lines[1].starts_with("// "));
        CHECK(header.lines[1].ends_with(")."));
        CHECK(header.layer >= 0);
        CHECK(header.layer <= 5);
        CHECK(header.lines[2] == "#pragma once");
    }
}

TEST_CASE("no header includes one of a higher layer") {
    for (const auto& [name, header] : headers()) {
        for (const auto& other : header.includes) {
            if (!is_ours(other)) continue;
            CAPTURE(name);
            CAPTURE(other);
            CHECK(headers().at(other).layer <= header.layer);
        }
    }
}

TEST_CASE("a private folder reaches only those that stand before it") {
    for (const auto& [name, header] : headers()) {
        const std::size_t place = place_of(name);
        CAPTURE(name);
        CHECK(place <= folders.size());
        if (place >= folders.size()) continue;
        for (const auto& other : reach(name)) {
            CAPTURE(other);
            CHECK((place_of(other) == folders.size() || place_of(other) <= place));
        }
    }
}

TEST_CASE("no header includes itself by a detour") {
    for (const auto& [name, header] : headers()) {
        CAPTURE(name);
        for (const auto& other : header.includes) {
            CAPTURE(other);
            CHECK_FALSE(reach(other).contains(name));
        }
    }
}

TEST_CASE("src.hpp has all bodies, each once") {
    std::multiset<std::string> listed;
    for (const auto& line : lines_of(source_dir / "include/cohort/src.hpp"))
        if (auto name = included(line); name.ends_with(".ipp")) listed.insert(name);
    for (const auto& [name, header] : headers())
        if (name.ends_with(".ipp")) CHECK_MESSAGE(listed.count(name) == 1, name);
    for (const auto& name : listed) CHECK_MESSAGE(is_ours(name), name);
}

TEST_CASE("a header includes its bodies at its end, if it has any") {
    for (const auto& [name, body] : headers()) {
        if (!name.ends_with(".ipp")) continue;
        CAPTURE(name);
        const std::string header = fs::path(name).replace_extension(".hpp").string();
        REQUIRE(is_ours(header));
        const auto& lines = headers().at(header).lines;
        const std::vector<std::string> expected{std::string(header_only), "#include <" + name + ">", "#endif"};
        REQUIRE(lines.size() > expected.size());
        CHECK(std::equal(expected.begin(), expected.end(), lines.end() - 3));
        REQUIRE_FALSE(body.includes.empty());
        CHECK(body.includes.front() == header);
    }
}

TEST_CASE("our own headers are included by their full name in angle brackets") {
    for (const auto& [name, header] : headers()) {
        CAPTURE(name);
        for (const auto& line : header.lines) CHECK_FALSE(line.starts_with("#include \""));
        for (const auto& other : header.includes)
            if (other.starts_with("cohort")) CHECK_MESSAGE(is_ours(other), other);
    }
}

TEST_CASE("the pure layers make no system calls") {
    const std::set<std::string> impure = {"unistd.h", "fcntl.h", "poll.h", "sys/epoll.h", "sys/socket.h"};
    for (const auto& [name, header] : headers()) {
        if (header.layer > 1) continue;
        CAPTURE(name);
        for (const auto& other : header.includes) CHECK_FALSE(impure.contains(other));
    }
}

TEST_CASE("llhttp is included by one file, and a cluster without HTTP does not reach it") {
    for (const auto& [name, header] : headers()) {
        CAPTURE(name);
        for (const auto& other : header.includes)
            if (other.ends_with("llhttp.h")) CHECK(name == "cohort/http/detail/parse/field_splitter.ipp");
    }
    for (const auto& [name, header] : headers())
        if (!name.starts_with("cohort/http") && name != "cohort.hpp" && !name.starts_with("cohort/monitoring"))
            for (const auto& other : reach(name)) CHECK_MESSAGE(!other.starts_with("cohort/http"), name);
}

TEST_CASE("HTTP does not know the cluster") {
    for (const auto& [name, header] : headers()) {
        if (!name.starts_with("cohort/http")) continue;
        CAPTURE(name);
        for (const auto& other : reach(name)) {
            const bool cluster = other.starts_with("cohort/mode") || other == "cohort/channel.hpp" ||
                                 other == "cohort/listener.hpp" || other == "cohort/worker.hpp" ||
                                 other == "cohort/master.hpp" || other == "cohort/run.hpp";
            CHECK_MESSAGE(!cluster, other);
        }
    }
}

/// What has a package of its own, or costs who does not use it much time to compile.
bool is_apart(const std::string& name) {
    return name == "cohort/http/tls.hpp" || name.starts_with("cohort/control") ||
           name.starts_with("cohort/monitoring/");
}

TEST_CASE("cohort.hpp reaches every public header but those that stand apart") {
    const auto reached = reach("cohort.hpp");
    for (const auto& [name, header] : headers()) {
        if (!is_public(name)) continue;
        CHECK_MESSAGE(reached.contains(name) == !is_apart(name), name);
    }
}

TEST_CASE("every public header has its test at the same path, which includes it first") {
    for (const auto& [name, header] : headers()) {
        if (!is_public(name)) continue;
        CAPTURE(name);
        const fs::path test = (source_dir / "tests" / name).replace_extension(".cpp");
        CHECK(fs::exists(test));
        if (fs::exists(test)) CHECK(first_include(test) == name);
    }
}

TEST_CASE("every test under tests/cohort belongs to a header") {
    const fs::path root = source_dir / "tests";
    if (!fs::exists(root / "cohort")) return;
    for (const auto& entry : fs::recursive_directory_iterator(root / "cohort")) {
        if (entry.path().extension() != ".cpp") continue;
        fs::path name = fs::relative(entry.path(), root).replace_extension();
        // A long one is a folder of files, each with its topic as its name: master/stop.cpp.
        if (!is_ours(name.string() + ".hpp")) name = name.parent_path();
        CHECK_MESSAGE(is_ours(name.string() + ".hpp"), entry.path().string());
    }
}

TEST_CASE("the top level holds nothing else") {
    const std::set<std::string> allowed = {"include",        "examples",    "tests",    "benchmarks",
                                           "CMakeLists.txt", "meson.build", "README.md"};
    for (const auto& entry : fs::directory_iterator(source_dir)) {
        const auto name = entry.path().filename().string();
        const bool build_folder =
            fs::exists(entry.path() / "build.ninja") || fs::exists(entry.path() / "CMakeCache.txt");
        if (name.starts_with(".") || name.starts_with("build") || build_folder) continue;
        CHECK_MESSAGE(allowed.contains(name), name);
    }
}

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

/// Within a layer a header may include those that stand before it in the same row: each row is a decision, and an order
/// in which to read. Everything else goes strictly downward.
const std::vector<std::vector<std::string>> rows = {
    // layer 0
    {"detail/config", "error", "task"},
    // layer 1: messages as bytes
    {"detail/buffer", "detail/type_name", "detail/reflect", "detail/shape", "detail/fault", "detail/archive",
     "detail/frame", "detail/codec", "detail/container_codec", "detail/schema", "serialize", "detail/greeting"},
    // layer 1: the cluster as data
    {"endpoint", "detail/shared_address", "exit_status", "event", "options", "stats", "reload", "detail/rollout",
     "detail/supervision", "detail/attended_time", "detail/pulse", "detail/recycling", "detail/probing", "leadership",
     "detail/hook_calls", "detail/elections", "detail/autoscaler", "detail/joint_restart"},
    {"serialize", "endpoint", "detail/control_message", "detail/succession_message"},
    // layer 1: HTTP as data
    {"http/detail/text", "http/limits", "http/options", "http/method", "http/status", "http/fields", "http/body",
     "http/upgraded", "http/request", "http/response", "http/message", "http/detail/response_head",
     "http/detail/route_table", "http/router"},
    {"http/detail/text", "http/limits", "http/method", "http/fields", "http/request", "http/detail/chunked",
     "http/detail/proxy_header", "http/detail/request_line", "http/detail/field_rules", "http/detail/field_splitter",
     "http/parser"},
    {"http/detail/text", "http/status", "http/fields", "http/detail/date", "http/cookie", "http/form", "http/body",
     "http/request", "http/response", "http/event_stream", "http/message", "http/detail/response_head",
     "http/detail/pattern", "http/detail/route_table", "http/middleware"},
    {"http/request", "http/response", "http/detail/service", "http/detail/pattern", "http/detail/route_table",
     "http/middleware", "http/detail/routes", "http/router"},
    {"http/detail/date", "http/method", "http/request", "http/access_log"},
    {"http/detail/text", "http/fields", "http/detail/date", "http/detail/conditional", "http/detail/media_types"},
    // layer 2: system calls
    {"detail/unique_fd", "detail/passage", "detail/passed_listeners", "detail/posix", "handle", "detail/memfd", "blob"},
    {"counter", "detail/shared_page"},
    {"detail/posix", "http/detail/open_file"},
    {"detail/unique_fd", "detail/posix", "detail/signals", "detail/orphans", "detail/resident_memory",
     "detail/surroundings", "detail/fork", "detail/fd_passing", "detail/socket_address", "detail/socket_file",
     "detail/activation", "detail/inherited_socket", "detail/listen_socket", "detail/listen_queue",
     "detail/shared_page", "detail/abort_report"},
    // layer 3: messages, connections, HTTP on the wire
    {"detail/async_fd", "detail/notifier", "detail/transport", "detail/shared_memory_transport", "detail/frame_queue",
     "detail/frame_writer", "detail/frame_stream", "transport", "detail/encoded_message", "detail/call",
     "detail/message_stream", "mail", "detail/connect", "detail/serve_calls", "channel", "channel_acceptor",
     "detail/bus", "subscription"},
    {"detail/occupancy", "acceptor", "detail/heartbeat", "detail/async_fd", "detail/notifier", "detail/control_link",
     "mode", "scheduler", "datagram_socket", "detail/datagram_ports", "detail/taker", "detail/handover",
     "detail/handed_over", "detail/accepting", "detail/accepting_intake", "detail/exclusive_intake", "listener"},
    {"detail/notifier", "mode", "datagram_socket", "detail/requests", "detail/datagram_binder", "detail/campaigns",
     "detail/introductions"},
    {"mode", "scheduler", "detail/taker", "detail/handover", "detail/handed_over", "detail/accepting",
     "detail/accepting_intake", "detail/port_table", "detail/accepting_dispatcher", "detail/any_dispatcher",
     "mode/scheduled", "mode/round_robin", "mode/least_connections", "mode/sticky", "mode/shared_socket",
     "mode/shared_listener"},
    {"acceptor", "http/detail/watch", "http/detail/server", "http/detail/stream_layer", "http/detail/wire",
     "http/detail/body_reader", "http/detail/body_stream", "http/detail/peer", "http/detail/upgraded_wire",
     "http/detail/responder", "http/detail/connection", "http/serve", "http/tls"},
    // layer 4
    {"detail/identity", "detail/worker_core", "detail/worker_life", "worker", "detail/launch", "detail/worker_record",
     "detail/front_desk", "detail/call_pool", "detail/mailbox", "detail/event_log", "detail/hearing", "detail/crew",
     "master"},
    {"worker", "detail/worker_record", "detail/front_desk", "detail/call_pool", "detail/crew", "detail/tally",
     "detail/reloader", "detail/slots", "detail/successors", "detail/respawner", "detail/staff", "detail/caretaker",
     "detail/load_watch", "detail/predecessor", "detail/heir", "detail/succession", "detail/departures",
     "detail/supervisor", "master"},
    // layer 5
    {"scope", "run", "monitoring", "../cohort"},
};

/// The name under which a header of a row is included.
std::string full_name(const std::string& in_row) {
    return in_row == "../cohort" ? "cohort.hpp" : "cohort/" + in_row + ".hpp";
}

bool stands_before(const std::string& lower, const std::string& upper) {
    return std::any_of(rows.begin(), rows.end(), [&](const std::vector<std::string>& row) {
        const auto named = [](const std::string& wanted) {
            return [&wanted](const std::string& entry) { return full_name(entry) == wanted; };
        };
        const auto first = std::find_if(row.begin(), row.end(), named(lower));
        return first != row.end() && std::find_if(first + 1, row.end(), named(upper)) != row.end();
    });
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

/// All headers by the name under which they are included.
const std::map<std::string, Header>& headers() {
    static const auto all = [] {
        std::map<std::string, Header> found;
        const fs::path root = source_dir / "include";
        for (const auto& entry : fs::recursive_directory_iterator(root)) {
            if (entry.path().extension() != ".hpp") continue;
            Header header;
            header.lines = lines_of(entry.path());
            for (const auto& line : header.lines)
                if (auto name = included(line); !name.empty()) header.includes.push_back(name);
            if (header.lines.size() > 1) header.layer = stated_layer(header.lines[1]);
            found.emplace(fs::relative(entry.path(), root).string(), std::move(header));
        }
        return found;
    }();
    return all;
}

bool is_ours(const std::string& name) { return headers().contains(name); }

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

TEST_CASE("includes go strictly downward, or back in a row of their layer") {
    for (const auto& [name, header] : headers()) {
        for (const auto& other : header.includes) {
            if (!is_ours(other)) continue;
            CAPTURE(name);
            CAPTURE(other);
            const int layer = headers().at(other).layer;
            CHECK((layer < header.layer || (layer == header.layer && stands_before(other, name))));
        }
    }
}

TEST_CASE("a row names headers that exist, all of one layer") {
    for (const auto& row : rows) {
        for (const auto& entry : row) {
            CAPTURE(entry);
            REQUIRE(is_ours(full_name(entry)));
            CHECK(headers().at(full_name(entry)).layer == headers().at(full_name(row.front())).layer);
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

TEST_CASE("llhttp is included by one header, and a cluster without HTTP does not reach it") {
    for (const auto& [name, header] : headers()) {
        CAPTURE(name);
        for (const auto& other : header.includes)
            if (other.ends_with("llhttp.h")) CHECK(name == "cohort/http/detail/field_splitter.hpp");
    }
    CHECK_FALSE(reach("cohort/master.hpp").contains("cohort/http/parser.hpp"));
    CHECK_FALSE(reach("cohort/channel.hpp").contains("cohort/http/parser.hpp"));
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

TEST_CASE("cohort.hpp reaches every public header but TLS") {
    const auto reached = reach("cohort.hpp");
    for (const auto& [name, header] : headers()) {
        if (name.find("/detail/") != std::string::npos) continue;
        // The one that needs OpenSSL is for those who ask for it.
        CHECK_MESSAGE(reached.contains(name) == (name != "cohort/http/tls.hpp"), name);
    }
}

TEST_CASE("every public header has its test at the same path, which includes it first") {
    for (const auto& [name, header] : headers()) {
        if (name.find("/detail/") != std::string::npos) continue;
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
        auto name = fs::relative(entry.path(), root).replace_extension().string();
        // A long one is several files, each with its topic behind the header's name: master_stop.cpp.
        while (!is_ours(name + ".hpp") && name.rfind('_') != std::string::npos) name.resize(name.rfind('_'));
        CHECK_MESSAGE(is_ours(name + ".hpp"), entry.path().string());
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

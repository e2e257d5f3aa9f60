// SPDX-License-Identifier: MIT
#include "table.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <sys/ioctl.h>
#include <unistd.h>

namespace manager {

namespace {

struct Column {
    const char* title;
    bool right;    ///< aligned to the right, as numbers are
    int sacrifice; ///< where the terminal is too narrow, the highest goes first; 0: stays
};
constexpr Column columns[] = {{"id", true, 3},  {"name", false, 0},   {"namespace", false, 6}, {"slot", true, 5},
                              {"pid", true, 1}, {"status", false, 0}, {"restarts", true, 2},   {"uptime", true, 4},
                              {"cpu", true, 7}, {"memory", true, 8}};
constexpr std::size_t status_column = 5;
using Row = std::vector<std::string>;

std::string time_of(std::uint64_t ms) {
    const std::uint64_t seconds = ms / 1'000;
    if (seconds < 60) return std::to_string(seconds) + "s";
    if (seconds < 3'600) return std::to_string(seconds / 60) + "m";
    if (seconds < 86'400) return std::to_string(seconds / 3'600) + "h";
    return std::to_string(seconds / 86'400) + "d";
}

std::string with_one_digit(double number, const char* unit) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f%s", number, unit);
    return text;
}

std::string size_of(std::uint64_t bytes) { return with_one_digit(static_cast<double>(bytes) / (1 << 20), " MiB"); }

std::vector<Row> rows_of(const AppList& list) {
    std::vector<Row> rows;
    for (const AppStatus& app : list.apps) {
        const std::string id = std::to_string(app.id);
        if (app.instances.empty()) rows.push_back({id, app.name, app.group, "-", "-", app.status, "-", "-", "-", "-"});
        for (const Instance& one : app.instances)
            rows.push_back({id, app.name, app.group, std::to_string(one.slot), std::to_string(one.pid), one.state,
                            std::to_string(one.restarts), time_of(one.uptime_ms), with_one_digit(one.cpu_percent, "%"),
                            size_of(one.memory_bytes)});
    }
    return rows;
}

const char* colour_of(const std::string& status) {
    if (status == "online") return "\033[32m";
    if (status == "errored") return "\033[31m";
    return status == "stopped" ? "\033[90m" : "\033[33m";
}

} // namespace

Look Look::of(int descriptor) {
    Look look;
    winsize size{};
    if (::isatty(descriptor) == 0) return look;
    if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0) look.width = size.ws_col;
    const char* const refused = std::getenv("NO_COLOR");
    look.coloured = refused == nullptr || *refused == '\0';
    return look;
}

std::string table_of(const AppList& list, const Look& look) {
    const std::vector<Row> rows = rows_of(list);
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i != std::size(columns); ++i) {
        widths.push_back(std::string(columns[i].title).size());
        for (const Row& row : rows) widths.back() = std::max(widths.back(), row[i].size());
    }
    constexpr std::size_t gap = 2;
    const auto total = [&widths] {
        std::size_t sum = 0;
        for (const std::size_t width : widths) sum += width == 0 ? 0 : width + gap;
        return sum;
    };
    for (int sacrifice = 8; look.width != 0 && total() > look.width + gap && sacrifice != 0; --sacrifice)
        for (std::size_t i = 0; i != std::size(columns); ++i)
            if (columns[i].sacrifice == sacrifice) widths[i] = 0;

    std::string text;
    const auto add = [&](const Row& row, bool is_head) {
        std::string line;
        for (std::size_t i = 0; i != std::size(columns); ++i) {
            if (widths[i] == 0) continue;
            const std::string space(widths[i] - row[i].size(), ' ');
            const bool coloured = look.coloured && (is_head || i == status_column);
            const std::string cell = coloured ? (is_head ? "\033[1m" : colour_of(row[i])) + row[i] + "\033[0m" : row[i];
            line += (line.empty() ? "" : std::string(gap, ' ')) + (columns[i].right ? space + cell : cell + space);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    };
    Row head;
    for (const Column& column : columns) head.emplace_back(column.title);
    add(head, true);
    for (const Row& row : rows) add(row, false);
    for (const AppStatus& app : list.apps)
        if ((app.status == "errored" || app.status == "backoff") && !app.last_end.empty())
            text += app.name + ": " + app.last_end + '\n';
    return text;
}

std::string json_of(const AppList& list) {
    auto apps = nlohmann::ordered_json::array();
    for (const AppStatus& app : list.apps) {
        auto workers = nlohmann::ordered_json::array();
        for (const Instance& one : app.instances)
            workers.push_back({{"pid", one.pid},
                               {"slot", one.slot},
                               {"state", one.state},
                               {"restarts", one.restarts},
                               {"uptime_ms", one.uptime_ms},
                               {"cpu_percent", std::round(one.cpu_percent * 10) / 10},
                               {"memory_bytes", one.memory_bytes}});
        apps.push_back({{"id", app.id},
                        {"name", app.name},
                        {"namespace", app.group},
                        {"status", app.status},
                        {"last_end", app.last_end},
                        {"workers", std::move(workers)}});
    }
    return apps.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace manager

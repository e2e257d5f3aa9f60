// SPDX-License-Identifier: MIT
#include "logs.hpp"

#include "home.hpp"
#include "table.hpp"

#include <cohort/control.hpp>

#include <asio/co_spawn.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <fstream>
#include <iostream>
#include <utility>

#include <unistd.h>

namespace manager {

namespace {

using namespace cohort;
using namespace std::chrono_literals;

struct Line {
    std::string time{}; ///< ISO 8601, in UTC: later ones are greater
    unsigned slot = 0;
    std::string stream{};
    std::string text{};
};

/// As the log file has it.
std::string to_text(std::chrono::system_clock::time_point time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::microseconds>(time - day));
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
    return text;
}

Line line_of(const control::LogLine& line) { return {to_text(line.time), line.slot, line.stream, line.text}; }

class Printer {
public:
    Printer(std::string name, const LogWishes& wishes, const Look& look)
        : name_(std::move(name)), wishes_(wishes), look_(look) {}

    bool is_wanted(const Line& line) const {
        return (!wishes_.errors_only || line.stream == "stderr") && line.text.find(wishes_.grep) != std::string::npos;
    }
    void print(const Line& line) const {
        if (!is_wanted(line)) return;
        if (wishes_.json) {
            const nlohmann::ordered_json json{
                {"time", line.time}, {"app", name_}, {"slot", line.slot}, {"stream", line.stream}, {"text", line.text}};
            std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
            return;
        }
        const std::string who = line.stream == "cohort" ? name_ : name_ + "[" + std::to_string(line.slot) + "]";
        const char* const colour = line.stream == "stderr"   ? "\033[31m"
                                   : line.stream == "cohort" ? "\033[33m"
                                                             : "\033[32m";
        std::cout << line.time << ' ' << (look_.coloured ? colour + who + "\033[0m" : who) << "  " << line.text << '\n';
    }

private:
    std::string name_;
    const LogWishes& wishes_;
    Look look_;
};

/// The last lines of a file that are wanted and were written before this time. A line is read a piece at a time, so a
/// file of any size costs what is kept of it.
std::deque<Line> lines_of_file(const std::string& path, const Printer& printer, std::size_t most,
                               const std::string& before) {
    std::deque<Line> lines;
    for (const char* const former : {".1", ""}) {
        std::ifstream file(path + former, std::ios::binary);
        for (std::string text; std::getline(file, text);) {
            const auto json = nlohmann::json::parse(text, nullptr, false);
            if (!json.is_object()) continue;
            Line line{json.value("time", ""), json.value("slot", 0U), json.value("stream", ""), json.value("text", "")};
            if (!before.empty() && line.time >= before) break;
            if (!printer.is_wanted(line)) continue;
            lines.push_back(std::move(line));
            if (lines.size() > most) lines.pop_front();
        }
    }
    return lines;
}

/// What a supervisor has in memory is the last of what it has read, so it is complete where the file may lag behind.
struct Remembered {
    std::deque<Line> lines;
    std::uint64_t next = 1;
};

Task<Remembered> remembered_by(control::Client client) {
    Remembered remembered;
    for (;;) {
        const control::LogsFrom from{remembered.next};
        // At its end it waits for more.
        control::Logs some;
        try {
            some = co_await client.call<control::Logs>("logs", from, 50ms);
        } catch (const std::system_error& error) {
            if (error.code() != std::errc::timed_out) throw;
            co_return remembered;
        }
        for (const auto& line : some.lines) remembered.lines.push_back(line_of(line));
        remembered.next = some.next;
        if (some.ended || some.lines.empty()) co_return remembered;
    }
}

Task<> show(asio::io_context& io, Place place, LogWishes wishes, Look look) {
    const Printer printer(place.spec.name, wishes, look);
    Remembered remembered;
    std::optional<control::Client> client;
    if (place.running) {
        control::Client connected = co_await control::Client::connect(io.get_executor(), place.control);
        client = std::move(connected);
        remembered = co_await remembered_by(*client);
        std::erase_if(remembered.lines, [&printer](const Line& line) { return !printer.is_wanted(line); });
    }
    while (remembered.lines.size() > wishes.lines) remembered.lines.pop_front();
    if (const std::size_t missing = wishes.lines - remembered.lines.size(); missing != 0) {
        const std::string before = remembered.lines.empty() ? "" : remembered.lines.front().time;
        for (const Line& line : lines_of_file(place.log, printer, missing, before)) printer.print(line);
    }
    for (const Line& line : remembered.lines) printer.print(line);
    std::cout.flush();
    while (client && wishes.follow) {
        const control::Logs some = co_await client->logs(remembered.next);
        if (some.missed != 0) std::cout << "(" << some.missed << " lines are in the file only)\n";
        for (const auto& line : some.lines) printer.print(line_of(line));
        std::cout.flush();
        if (some.ended || !std::cout) co_return;
        remembered.next = some.next;
    }
}

} // namespace

Task<> show_logs(asio::io_context& io, Places places, LogWishes wishes) {
    std::size_t left = places.places.size();
    std::exception_ptr failure;
    asio::steady_timer over(io, asio::steady_timer::time_point::max());
    for (const Place& place : places.places)
        asio::co_spawn(io, show(io, place, wishes, Look::of(STDOUT_FILENO)), [&](const std::exception_ptr& error) {
            if (error) failure = error;
            if (--left == 0) over.cancel();
        });
    if (left != 0) {
        try {
            co_await over.async_wait(asio::use_awaitable);
        } catch (const std::system_error&) { // it is over
        }
    }
    if (failure) std::rethrow_exception(failure);
}

} // namespace manager

// SPDX-License-Identifier: MIT
#include "logs.hpp"

#include "process.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

#include <unistd.h>

namespace test {

Options Log::options(Options given) const {
    if (!given.logs) given.logs.emplace();
    given.logs->path = path();
    return given;
}

namespace {

std::string bytes_of(const std::string& path) {
    if (!path.ends_with(".gz")) {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(("gzip -dc " + path).c_str(), "re"), &::pclose);
    std::string all;
    char buffer[4096];
    while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe.get())) all.append(buffer, size);
    return all;
}

} // namespace

std::vector<std::string> lines_of_file(const std::string& path) {
    std::vector<std::string> lines;
    if (!std::filesystem::exists(path)) return lines;
    const std::string all = bytes_of(path);
    for (std::size_t begin = 0; begin < all.size();) {
        const std::size_t end = all.find('\n', begin);
        if (end == std::string::npos) break;
        lines.push_back(all.substr(begin, end - begin));
        begin = end + 1;
    }
    return lines;
}

std::string without_time(const std::string& line) {
    constexpr std::string_view form = "0000-00-00T00:00:00.000000Z ";
    const auto fits = [](char c, char wanted) { return wanted == '0' ? c >= '0' && c <= '9' : c == wanted; };
    if (line.size() < form.size() ||
        !std::equal(form.begin(), form.end(), line.begin(), [&](char wanted, char c) { return fits(c, wanted); }))
        throw std::runtime_error("a line without its time: " + line);
    return line.substr(form.size());
}

std::vector<std::string> Log::lines() const {
    std::vector<std::string> files{path()};
    for (int number = 1; number != 1'000; ++number)
        for (const char* const end : {"", ".gz"})
            if (const auto name = path() + "." + std::to_string(number) + end; std::filesystem::exists(name))
                files.insert(files.begin(), name);
    std::vector<std::string> lines;
    for (const auto& file : files)
        for (const auto& line : lines_of_file(file)) lines.push_back(without_time(line));
    return lines;
}

std::vector<int> numbers_in(const std::vector<std::string>& lines) {
    constexpr std::string_view before = ": line ";
    std::vector<int> numbers;
    for (const auto& line : lines) {
        const auto at = line.find(before);
        int number = 0;
        if (at == line.npos) continue;
        const auto [end, error] = std::from_chars(line.data() + at + before.size(), line.data() + line.size(), number);
        if (error == std::errc{}) numbers.push_back(number);
    }
    return numbers;
}

int lost_in(const std::vector<std::string>& lines) {
    constexpr std::string_view before = "cohort: ";
    int lost = 0;
    for (const auto& line : lines) {
        const auto at = line.find(before);
        if (at != line.npos && line.find(" were lost: the log was written too slowly") != line.npos)
            lost += std::stoi(line.substr(at + before.size()));
    }
    return lost;
}

std::vector<pid_t> log_writers() {
    std::vector<pid_t> writers;
    for (const pid_t child : children_of(::getpid())) {
        const auto name = lines_of_file("/proc/" + std::to_string(child) + "/comm");
        if (!name.empty() && name.front() == "cohort-log") writers.push_back(child);
    }
    return writers;
}

Task<bool> until(asio::io_context& io, std::function<bool()> is_so) {
    const auto deadline = std::chrono::steady_clock::now() + 25s;
    while (!is_so()) {
        if (std::chrono::steady_clock::now() >= deadline) co_return false;
        co_await pause(io, 1ms);
    }
    co_return true;
}

void write_line(const std::string& line, int descriptor) {
    const std::string text = line + "\n";
    [[maybe_unused]] const auto written = ::write(descriptor, text.data(), text.size());
}

} // namespace test

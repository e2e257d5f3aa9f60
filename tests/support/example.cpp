// SPDX-License-Identifier: MIT
#include "example.hpp"

#include <doctest/doctest.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <set>
#include <stdexcept>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

namespace test {

namespace {

int start(const std::string& name, std::vector<std::string>& args, Output output) {
    ::signal(SIGPIPE, SIG_DFL);
    const int dropped = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(output == Output::out ? dropped : STDOUT_FILENO, STDERR_FILENO);
    if (output == Output::error) ::dup2(dropped, STDOUT_FILENO);
    std::string path = Example::path_of(name);
    std::vector<char*> argv{path.data()};
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    ::execv(path.c_str(), argv.data());
    std::perror(path.c_str());
    return 119;
}

} // namespace

std::string Example::path_of(const std::string& name) { return std::filesystem::path(COHORT_EXAMPLE_DIR) / name; }

Example::Example(const std::string& name, std::vector<std::string> args, Output output)
    : Helper([&name, &args, output] { return start(name, args, output); }) {}

std::uint16_t Example::port_after(const std::string& prefix) { return port_in(after(prefix)); }

std::uint16_t Example::port_in(const std::string& text) {
    const std::string address = text.substr(0, text.find(','));
    return static_cast<std::uint16_t>(std::stoul(address.substr(address.find_last_of(": ") + 1)));
}

std::string each_kind_of_mode() {
    std::string mode;
    SUBCASE("round-robin") { mode = "round-robin"; }
    SUBCASE("shared-socket") { mode = "shared-socket"; }
    return mode;
}

unsigned usable_cpus() {
    cpu_set_t set;
    return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

std::string run_shell(const std::string& command) {
    std::string text;
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("popen");
    std::array<char, 4096> buffer{};
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
        text.append(buffer.data(), count);
    ::pclose(pipe);
    return text;
}

std::multiset<std::string> lines_of(const std::string& text) {
    std::multiset<std::string> result;
    for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
        result.insert(text.substr(begin, end - begin));
    return result;
}

} // namespace test

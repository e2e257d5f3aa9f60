// SPDX-License-Identifier: MIT
// An example program, run as a user would: started anew, its output read line by line, ended by signals.
#pragma once

#include "process.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace test {

/// What is read of a program: one of its streams (the other is dropped), or both as one.
enum class Output { out, error, both };

class Example : public Helper {
public:
    /// Where it is; a whole path stays one.
    static std::string path_of(const std::string& name);

    explicit Example(const std::string& name, std::vector<std::string> args = {}, Output output = Output::both);

    /// The port in the next line that begins so.
    std::uint16_t port_after(const std::string& prefix);

    /// "[::]:8080", or what comes first in "[::]:8080, and more".
    static std::uint16_t port_in(const std::string& text);
};

/// The test runs once for each: the master accepts connections, or workers do.
std::string each_kind_of_mode();

/// As many workers as a program starts that is to have one for each CPU.
unsigned usable_cpus();

/// What a command says, on both streams.
std::string run_shell(const std::string& command);

/// The lines of a text, sorted.
std::multiset<std::string> lines_of(const std::string& text);

} // namespace test

// SPDX-License-Identifier: MIT
// Whose a line of the log is (layer 1).
#pragma once

#include <cohort/event.hpp>

#include <cstdint>
#include <string_view>

namespace cohort::detail {

enum class LogStream : std::uint8_t {
    output, // of a worker: its standard output
    error,  // and error
    master, // what the library says in the master
};

constexpr std::string_view to_string(LogStream stream) noexcept {
    switch (stream) {
        case LogStream::output: return "stdout";
        case LogStream::error: return "stderr";
        default: return "cohort";
    }
}

struct LogSource {
    WorkerId worker = 0; ///< 0: the master
    unsigned slot = 0;
    LogStream stream = LogStream::master;

    friend bool operator==(const LogSource&, const LogSource&) = default;
};

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// What a user wants to run, and how the commands and the daemon speak of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace manager {

/// A program, and how it is to be run. It travels from the command to the daemon and stands in the state file.
struct AppSpec {
    std::string name{};    ///< letters, digits, '.', '_' and '-'; 64 at most
    std::string group{};   ///< its namespace
    std::string program{}; ///< a path, or a name that is looked for in PATH
    std::vector<std::string> args{};
    std::string cwd{};
    std::map<std::string, std::string> env{}; ///< all that it has
    std::uint32_t instances = 1;
    std::vector<std::string> listen{}; ///< sockets that all instances share: LISTEN_FDS
    std::string restart = "always";    ///< "always", "on-failure", "never"
    std::int32_t stop_signal = 15;
    std::uint64_t grace_ms = 10'000;     ///< from the signal to SIGKILL
    std::uint64_t min_uptime_ms = 500;   ///< a new instance that has lived for so long is ready
    std::uint64_t log_size = 10'000'000; ///< bytes, after which a new file begins
    std::uint32_t log_files = 7;         ///< former ones that are kept
};

/// One instance.
struct Instance {
    std::int32_t pid = 0;
    std::uint32_t slot = 0;
    std::string state{}; ///< "starting", "online", "stopping"
    std::uint32_t restarts = 0;
    std::uint64_t uptime_ms = 0;
    double cpu_percent = 0; ///< of one CPU, since it was looked at last
    std::uint64_t memory_bytes = 0;
};

struct AppStatus {
    std::uint32_t id = 0;
    std::string name{};
    std::string group{};
    std::string status{};   ///< "online", "starting", "backoff" (it crashes), "stopping", "stopped", "errored"
    std::string last_end{}; ///< how the instance that ended last did; empty: none has
    std::vector<Instance> instances{};
};

/// Which apps a command is for: names, ids, namespaces, "all". A word that means none is an error.
struct Selection {
    std::vector<std::string> words{};
};

// What the daemon can be asked for: the actions of its control socket.

struct StartRequest {
    AppSpec spec{};
};
struct ScaleRequest {
    Selection apps{};
    std::int32_t number = 0;
    bool relative = false; ///< that many more, or less
};
struct SignalRequest {
    Selection apps{};
    std::int32_t signal = 0;
};
struct AppList {
    std::vector<AppStatus> apps{};
};
/// Where a command finds what the daemon need not pass on.
struct Place {
    AppSpec spec{};
    bool running = false;
    std::string control{}; ///< the socket of its supervisor
    std::string log{};
};
struct Places {
    std::vector<Place> places{};
};

/// Empty, or what is wrong with it, as a sentence.
std::string fault_of(const AppSpec& spec);

std::string to_json(const AppSpec& spec);
/// Throws std::runtime_error with the place of what is wrong.
AppSpec spec_from_json(const std::string& text);

} // namespace manager

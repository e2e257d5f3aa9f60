// SPDX-License-Identifier: MIT
// The folders of one daemon, and what it keeps there.
#pragma once

#include "app.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace manager {

/// Everything is for its owner alone. COHORT_HOME has all of it in one folder, so that several daemons run side by
/// side; without it the state is where the system keeps that (/var/lib/cohort; XDG_STATE_HOME), and sockets are in
/// /run/cohort or XDG_RUNTIME_DIR.
class Home {
public:
    /// Of this process's environment. Makes the folders; throws std::system_error, and EPERM if others may write there.
    Home();

    const std::string& state() const noexcept { return state_; }
    std::string daemon_socket() const { return sockets_ + "/daemon.sock"; }
    std::string daemon_pid_file() const { return sockets_ + "/daemon.pid"; }
    std::string daemon_log() const { return state_ + "/daemon.log"; }
    /// Of an app's supervisor. By its number: a path of a socket has room for 107 characters (unix(7)).
    std::string socket(std::uint32_t id) const { return sockets_ + "/app-" + std::to_string(id) + ".sock"; }
    std::string pid_file(std::uint32_t id) const { return sockets_ + "/app-" + std::to_string(id) + ".pid"; }
    std::string spec(std::uint32_t id) const { return state_ + "/app-" + std::to_string(id) + ".json"; }
    /// How its instances ended, when they have and no others will follow.
    std::string ending(std::uint32_t id) const { return sockets_ + "/app-" + std::to_string(id) + ".end"; }
    std::string log(const std::string& name) const { return state_ + "/logs/" + name + ".log"; }
    std::string apps() const { return state_ + "/apps.json"; }

private:
    std::string state_;
    std::string sockets_;
};

/// Empty if there is none.
std::string content_of(const std::string& path);
/// A new file beside it, then rename(2): whoever reads it, also after a power loss, sees the old one or the new one.
/// Throws std::system_error.
void replace_file(const std::string& path, const std::string& text);

/// Whose number a pid file has, if that process lives: it has the file locked (cohort::Options::pid_file). 0: none.
pid_t holder_of(const std::string& pid_file);

} // namespace manager

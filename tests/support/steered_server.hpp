// SPDX-License-Identifier: MIT
// The demo server with a control socket, in each kind of mode, and clients that keep it busy.
#pragma once

#include "example.hpp"
#include "folder.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace test {

/// Two workers, of which at least one listens.
struct SteeredServer {
    /// `has_log`: another process writes it, a child of the master as the workers are.
    explicit SteeredServer(bool has_log = false);

    std::string mode = each_kind_of_mode();
    Folder folder;
    std::string path = folder / "private/control";
    std::string log = folder / "log";
    Example example;
    std::uint16_t port = 0;
};

/// Ask one request after the other, each on a connection of its own that it keeps, until they are destroyed.
class BusyClients {
public:
    BusyClients(std::uint16_t port, int count);
    BusyClients(const BusyClients&) = delete;
    BusyClients& operator=(const BusyClients&) = delete;

    /// Ends them; how many requests did not get a good answer.
    int stop();

private:
    std::atomic<int> failed_ = 0;
    std::vector<std::jthread> clients_;
};

} // namespace test

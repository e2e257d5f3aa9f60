// SPDX-License-Identifier: MIT
// The part of systemd: whoever reads what a service says at NOTIFY_SOCKET.
#pragma once

#include "folder.hpp"

#include <cohort/detail/system/unique_fd.hpp>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

namespace test {

/// A datagram, and who has sent it.
struct Notification {
    pid_t from = 0;
    std::string text; // lines NAME=value

    /// A whole line, or "NAME=" for any of this name.
    bool has(const std::string& line) const;
    /// What follows "NAME="; empty: it is not there.
    std::string value_of(const std::string& name) const;
};

class ServiceManager {
public:
    enum class Name { path, abstract };

    explicit ServiceManager(Name name = Name::path);
    ServiceManager(const ServiceManager&) = delete;
    ServiceManager& operator=(const ServiceManager&) = delete;
    ~ServiceManager();

    /// For NOTIFY_SOCKET.
    const std::string& address() const { return address_; }
    /// Sets NOTIFY_SOCKET for this process, which is to be the service.
    void adopt() const;
    /// Leaves no room for any more datagrams (unix(7), max_dgram_qlen).
    void fill() const;

    /// The next datagram that has this line; those before it are added to `passed`. Throws when it does not come.
    Notification next(const std::string& line, std::vector<Notification>* passed = nullptr);
    /// Whatever is there, or comes within the time.
    std::vector<Notification> all_within(std::chrono::milliseconds time);

    /// The descriptors that it was told to keep, of what has been received, by name (sd_notify(3), FDSTORE).
    const std::map<std::string, cohort::detail::UniqueFd>& store() const { return store_; }
    /// In a process that is to be the service: what is kept becomes 3, 4 and so on, with the variables that say so.
    void pass_store();

private:
    bool receive(Notification& notification, std::chrono::milliseconds time);

    Folder folder_;
    std::string address_;
    int socket_ = -1;
    std::map<std::string, cohort::detail::UniqueFd> store_;
};

} // namespace test

// SPDX-License-Identifier: MIT
// The demo server as a service of systemd, whose part the test plays: who is its main process after an upgrade.
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/service_manager.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <signal.h>

using namespace std::chrono_literals;
using test::Example;
using test::Notification;
using test::ServiceManager;

namespace {

/// A copy of the demo, so that its file can be replaced, started as systemd does it.
class Service {
public:
    explicit Service(const ServiceManager& manager)
        : program_(folder_ / "server"),
          server_((std::filesystem::copy_file(Example::path_of("http_server"), program_), "/bin/sh"),
                  {"-c", "export NOTIFY_SOCKET=\"$0\" WATCHDOG_USEC=200000 WATCHDOG_PID=$$; exec \"$@\"",
                   manager.address(), program_, "--port", "0", "--workers", "2"}) {}
    void replace_by(const std::string& text) {
        const std::string aside = folder_ / "new";
        std::ofstream(aside) << text;
        std::filesystem::permissions(aside, std::filesystem::perms::owner_all);
        std::filesystem::rename(aside, program_);
    }
    Example& server() { return server_; }

private:
    test::Folder folder_;
    std::string program_;
    Example server_;
};

bool are_all_from(pid_t process, const std::vector<Notification>& notifications) {
    return std::ranges::all_of(notifications, [process](const Notification& one) { return one.from == process; });
}

TEST_CASE("http_server: after an upgrade the new master is the service's main process, and speaks for it") {
    ServiceManager manager;
    Service service(manager);
    const pid_t first = service.server().pid();
    std::vector<Notification> of_first;
    of_first.push_back(manager.next("READY=1", &of_first));
    pid_t master = first;
    std::vector<test::Watched> masters;
    for (int upgrade = 0; upgrade != 2; ++upgrade) {
        ::kill(master, SIGUSR2);
        std::vector<Notification> of_old;
        of_old.push_back(manager.next("RELOADING=1", &of_old));
        of_old.push_back(manager.next("MAINPID=", &of_old));
        CHECK(of_old.back().has("READY=1"));
        CHECK(are_all_from(master, of_old)); // the new one would not have been listened to
        master = std::stoi(of_old.back().value_of("MAINPID"));
        CHECK(master != of_old.back().from);
        masters.emplace_back(master);
        std::vector<Notification> of_new;
        of_new.push_back(manager.next("READY=1", &of_new));
        CHECK(of_new.back().value_of("STATUS").starts_with("2 of 2 workers are ready"));
        for (int i = 0; i != 3; ++i) of_new.push_back(manager.next("WATCHDOG=1", &of_new));
        CHECK(are_all_from(master, of_new)); // what the old one says, as that it ends, is not about the service
    }
    CHECK(service.server().wait() == cohort::ExitStatus::exited(0));
    ::kill(master, SIGTERM);
    CHECK(manager.next("STOPPING=1").from == master);
    for (const test::Watched& each : masters) CHECK(each.ends_within(20s));
}

TEST_CASE("http_server: an upgrade that fails leaves the main process what it was, and says why") {
    ServiceManager manager;
    Service service(manager);
    const pid_t master = service.server().pid();
    std::vector<Notification> all;
    manager.next("READY=1", &all);
    service.replace_by("#!/bin/sh\nexit 3\n");
    service.server().signal(SIGUSR2);
    manager.next("RELOADING=1", &all);
    const Notification end = manager.next("READY=1", &all);
    CHECK(end.value_of("STATUS") ==
          "2 of 2 workers are ready; the upgrade failed: the new worker did not become ready");
    for (int i = 0; i != 2; ++i) manager.next("WATCHDOG=1", &all);
    CHECK(are_all_from(master, all));
    CHECK(std::ranges::none_of(all, [](const Notification& one) { return one.has("MAINPID="); }));
    service.server().signal(SIGTERM);
    CHECK(manager.next("STOPPING=1").from == master);
    CHECK(service.server().wait() == cohort::ExitStatus::exited(0));
}

} // namespace

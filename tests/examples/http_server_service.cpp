// SPDX-License-Identifier: MIT
// The demo server as a service of systemd, whose part the test plays: who is its main process after an upgrade.
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"
#include "support/service_manager.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include <signal.h>
#include <sys/socket.h>

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

TEST_CASE("http_server: the listening socket is kept once, through an upgrade and over the end of the new master") {
    ServiceManager manager;
    Service service(manager);
    while (manager.store().empty()) manager.next("FDSTORE=1");
    service.server().signal(SIGUSR2);
    const pid_t second = std::stoi(manager.next("MAINPID=").value_of("MAINPID"));
    const test::Watched master(second);
    manager.next("READY=1");
    CHECK(service.server().wait() == cohort::ExitStatus::exited(0));
    ::kill(second, SIGKILL);
    CHECK(master.ends_within(20s));
    manager.all_within(0ms);
    REQUIRE(manager.store().size() == 1);
    int listens = 0;
    socklen_t size = sizeof listens;
    ::getsockopt(manager.store().begin()->second.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
    CHECK(listens == 1);
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

// The pid file

/// The number in a file; 0: there is none, or no whole one.
pid_t number_in(const std::string& path) {
    std::ifstream file(path);
    pid_t number = 0;
    char end = 0;
    return file >> number && file.get(end) && end == '\n' ? number : 0;
}

std::vector<std::string> with_pid_file(const std::string& path) {
    return {"--port", "0", "--workers", "2", "--pid-file", path};
}

void refuses_another(const std::string& path, pid_t first) {
    Example second("http_server", with_pid_file(path));
    CHECK(second.after("cohort: pid file " + path + ": ") ==
          "process " + std::to_string(first) + " has it: Device or resource busy");
    CHECK(second.wait() == cohort::ExitStatus::exited(1));
}

bool has_open(pid_t process, const std::string& path) {
    const auto files = std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd");
    return std::ranges::any_of(files, [&path](const auto& entry) {
        std::error_code closed;
        return std::filesystem::read_symlink(entry.path(), closed) == path;
    });
}

TEST_CASE("http_server: a pid file names its master, keeps others out, and is gone at the end") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    Example server("http_server", with_pid_file(path));
    const std::uint16_t port = server.port_after("http_server: listening on ");
    CHECK(number_in(path) == server.pid());
    CHECK(has_open(server.pid(), path));
    test::HttpClient client(port);
    CHECK(client.get("/").body == "Hello World\n");
    for (const pid_t worker : test::children_of(server.pid())) // one that was just forked still has all
        CHECK(test::eventually([&] { return !has_open(worker, path); }));
    refuses_another(path, server.pid());
    CHECK(client.get("/").body == "Hello World\n");
    server.signal(SIGTERM);
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
    CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("http_server: what a master has left that was killed is taken") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    {
        Example killed("http_server", with_pid_file(path));
        killed.port_after("http_server: listening on ");
        killed.signal(SIGKILL);
        killed.wait();
        killed.rest(); // its workers have gone, too
        CHECK(number_in(path) != 0);
    }
    Example server("http_server", with_pid_file(path));
    server.port_after("http_server: listening on ");
    CHECK(number_in(path) == server.pid());
    server.signal(SIGTERM);
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("http_server: at an upgrade the pid file goes to the new master, and there is always one that has it") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    Example server("http_server", with_pid_file(path));
    server.port_after("http_server: listening on ");
    pid_t master = server.pid();
    std::vector<test::Watched> masters;
    for (int upgrade = 0; upgrade != 2; ++upgrade) {
        ::kill(master, SIGUSR2);
        pid_t named = master;
        CHECK(test::eventually([&] { return (named = number_in(path)) != master; }, 20s));
        REQUIRE(named != 0); // never no number
        master = named;
        masters.emplace_back(master);
        refuses_another(path, master);
        // The next upgrade begins when the one before has left.
    }
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
    CHECK(number_in(path) == master);
    ::kill(master, SIGTERM);
    for (const test::Watched& each : masters) CHECK(each.ends_within(20s));
    CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("http_server: an upgrade that fails leaves the pid file where it is") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    const std::string program = folder / "server";
    std::filesystem::copy_file(Example::path_of("http_server"), program);
    Example server(program, with_pid_file(path));
    server.port_after("http_server: listening on ");
    std::filesystem::remove(program);
    server.signal(SIGUSR2);
    CHECK(server.after("cohort: upgrade: ") == "the new worker did not become ready");
    CHECK(number_in(path) == server.pid());
    refuses_another(path, server.pid());
    server.signal(SIGTERM);
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
    CHECK(std::filesystem::is_empty(folder.path));
}

// The unit file of the README

/// What stands between the line ```ini and the next ```.
std::string unit_of_readme() {
    std::ifstream readme(std::filesystem::path(COHORT_SOURCE_DIR) / "README.md");
    std::string unit;
    bool is_unit = false;
    for (std::string line; std::getline(readme, line);) {
        if (is_unit && line == "```") return unit;
        if (is_unit) unit += line + "\n";
        if (line == "```ini") is_unit = true;
    }
    return unit;
}

TEST_CASE("the unit file in the README is one that systemd understands") {
    const std::string unit = unit_of_readme();
    REQUIRE(unit.starts_with("[Unit]\n"));
    const std::set<std::string> known = {"After",          "Delegate",    "Description",    "ExecReload", "ExecStart",
                                         "KillMode",       "LimitNOFILE", "NotifyAccess",   "Restart",    "Type",
                                         "TimeoutStopSec", "WantedBy",    "WatchdogSec",    "User",       "DynamicUser",
                                         "Wants",          "RestartSec",  "TimeoutStartSec"};
    std::istringstream lines(unit);
    for (std::string line; std::getline(lines, line);) {
        CAPTURE(line);
        const bool is_section = line == "[Unit]" || line == "[Service]" || line == "[Install]";
        CHECK((line.empty() || is_section || known.contains(line.substr(0, line.find('=')))));
    }
    if (!test::run_shell("command -v systemd-analyze").starts_with("/")) {
        MESSAGE("not verified: there is no systemd-analyze");
        return;
    }
    const test::Folder folder;
    const std::string program = folder / "app";
    std::filesystem::copy_file("/bin/true", program);
    std::string text = unit;
    const std::string place = "/usr/local/bin/app";
    REQUIRE(text.find(place) != text.npos);
    text.replace(text.find(place), place.size(), program);
    std::ofstream(folder / "app.service") << text;
    const std::string said =
        test::run_shell("SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no --recursive-errors=no " +
                        (folder / "app.service") + "; echo code $?");
    CAPTURE(said);
    CHECK(said.ends_with("code 0\n"));
    CHECK(said.find("app.service:") == said.npos); // no warning about it
}

} // namespace

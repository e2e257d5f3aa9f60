// SPDX-License-Identifier: MIT
// What goes wrong during a reload: bad programs, workers that die, a system that refuses; and what lasts longer than
// it.
#include <cohort/reload.hpp>

#include <cohort/detail/system/system.hpp>
#include <cohort/run.hpp>

#include "support/client.hpp"
#include "support/exec_worker.hpp"
#include "support/folder.hpp"
#include "support/process.hpp"

#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <fstream>
#include <set>

using namespace test;

namespace {

using enum WorkerState;

template <class A>
std::set<WorkerId> staying(A& app) {
    std::set<WorkerId> result;
    for (const auto& worker : app.workers())
        if (worker.state != draining) result.insert(worker.id);
    return result;
}

/// Until every worker listens, and none is leaving.
template <class A>
Task<> until_settled(A& app, std::size_t workers) {
    const auto is_listening = [](const WorkerInfo& worker) { return worker.state == listening; };
    while (app.workers().size() != workers || !std::ranges::all_of(app.workers(), is_listening))
        co_await pause(app.context(), 1ms);
}

// Programs

int start_server() {
    asio::io_context io(1);
    App app(io, plain_options());
    app.spawn(server);
    return 120; // never
}
struct Strange {
    std::vector<double> numbers;
};
using StrangeApp = Master<Strange, RoundRobin>;
int start_strange() {
    asio::io_context io(1);
    StrangeApp app(io, plain_options());
    app.spawn([](StrangeApp::Worker& self) { return server(self); });
    return 120; // never
}
const ExecWorker good("exec-reload-good", start_server);
const ExecWorker strange("exec-reload-strange", start_strange);

/// A program whose file is replaced while it runs.
class Installed {
public:
    Installed() { install_good(); }
    const std::string& path() const { return path_; }
    void install_good() { install_link("exec-reload-good"); }
    void install_link(const std::string& argument) {
        install("exec " + std::filesystem::read_symlink("/proc/self/exe").string() + " " + argument);
    }
    void install(const std::string& script, std::filesystem::perms mode = std::filesystem::perms::owner_all) {
        write("#!/bin/sh\n" + script + "\n", mode);
    }
    void write(const std::string& text, std::filesystem::perms mode = std::filesystem::perms::owner_all) {
        const std::string aside = folder_ / "new";
        std::ofstream(aside) << text;
        std::filesystem::permissions(aside, mode);
        std::filesystem::rename(aside, path_);
    }
    void remove() { std::filesystem::remove(path_); }

private:
    Folder folder_;
    std::string path_ = folder_ / "program";
};

Task<> never(App::Worker&) { co_return; }

/// Nothing changes, and the report says how the new program ended, if it did.
Task<> expect_refusal(App& app, std::uint16_t port, std::optional<ExitStatus> status) {
    const auto before = staying(app);
    const auto report = co_await app.reload();
    CHECK(report.error == Errc::not_ready);
    CHECK(report.replaced == 0);
    CHECK(report.status == status);
    co_await until_settled(app, 2); // the new one has gone
    CHECK(staying(app) == before);
    const std::string reply = co_await ask(app, port);
    CHECK(before.contains(who(reply)));
}

Task<> install_bad_ones(App& app, Installed& program) {
    for (int i = 0; i < 2; ++i) app.spawn(never);
    const std::uint16_t port = co_await served_port(app, 2);
    program.install("exit 3");
    co_await expect_refusal(app, port, ExitStatus::exited(3));
    program.install("exit 0");
    co_await expect_refusal(app, port, ExitStatus::exited(0));
    program.install("kill -SEGV $$");
    co_await expect_refusal(app, port, ExitStatus::signaled(SIGSEGV));
    program.install("exec sleep 60"); // speaks no word
    co_await expect_refusal(app, port, std::nullopt);
    program.write("nonsense\n");
    co_await expect_refusal(app, port, ExitStatus::exited(127));
    program.install("exit 0", std::filesystem::perms::owner_read);
    co_await expect_refusal(app, port, ExitStatus::exited(127));
    program.remove();
    co_await expect_refusal(app, port, ExitStatus::exited(127));
    program.install_link("exec-reload-strange"); // its messages are others
    co_await expect_refusal(app, port, ExitStatus::signaled(SIGKILL));
    program.install_good();
    const auto mended = co_await app.reload();
    CHECK(mended);
    CHECK(mended.replaced == 2);
    const std::string reply = co_await ask(app, port);
    CHECK(staying(app).contains(who(reply)));
    co_await app.stop();
}

TEST_CASE("a new program that is missing, is none, crashes or speaks otherwise leaves the old workers in place") {
    Installed program;
    Options options = permanent_options();
    options.spawn = Spawn::exec;
    options.worker.program = program.path();
    options.boot_timeout = 3s;
    in_master<App>(options, [&](App& app) { return install_bad_ones(app, program); });
}

// Deaths

struct Death {
    bool of_successor;
    WorkerState when; ///< the successor has come so far
};

/// Somebody of the slot of the first successor is killed by a stranger; until that is known here.
template <class A>
Task<> strike(A& app, WorkerId after, Death death) {
    Event event;
    while (event.worker <= after) event = co_await next(app, death.when);
    for (const auto& worker : app.workers()) {
        if (worker.slot != event.slot || (worker.id == event.worker) != death.of_successor) continue;
        ::kill(worker.pid, SIGKILL);
        co_await end_of(app, worker.id);
        break;
    }
}

template <class A>
Task<> reload_with_deaths(A& app) {
    for (int i = 0; i < 3; ++i) app.spawn(server);
    const std::uint16_t port = co_await served_port(app, 3);
    for (const bool of_successor : {true, false}) {
        for (const auto when : {forked, online, listening}) {
            CAPTURE(of_successor);
            CAPTURE(to_string(when));
            const WorkerId last = *staying(app).rbegin();
            const Death death{of_successor, when};
            ReloadReport report;
            co_await both(keep_result(app.reload(), report), strike(app, last, death));
            co_await until_settled(app, 3);
            CHECK(report.replaced <= 3);
            CHECK((report || report.error == Errc::not_ready));
            if (!of_successor) CHECK(report.replaced == 3);
            std::set<unsigned> slots;
            for (const auto& worker : app.workers()) slots.insert(worker.slot);
            CHECK(slots == std::set<unsigned>{0, 1, 2});
            const auto now = staying(app);
            for (int i = 0; i < 6; ++i) {
                const std::string reply = co_await ask(app, port);
                CHECK(now.contains(who(reply)));
            }
        }
    }
    co_await app.stop();
}

TEST_CASE_TEMPLATE("whoever dies during a reload, as many workers serve afterwards", A, App, SharedApp) {
    Options options = permanent_options();
    options.backoff.at_once = 100;
    SUBCASE("one slot at a time") {}
    SUBCASE("two at a time") { options.reload_at_once = 2; }
    in_master<A>(options, reload_with_deaths<A>);
}

// Long requests

/// A worker that is asked to leave goes when its last client has gone.
template <class W>
Task<> until_alone(W& self) {
    while (self.open_connections() != 0) co_await pause(self.context(), 1ms);
}

template <class W>
Task<> patient_host(W& self) {
    co_await host(self);
    co_await until_alone(self);
}

/// One that this worker serves. Its predecessor may accept another one until it has heard that it is to leave.
template <class A>
Task<Client> client_of(A& app, std::uint16_t port, WorkerId worker) {
    for (;;) {
        Client client(app.context(), port);
        const std::string greeting = co_await client.read_line();
        if (who(greeting) == worker) co_return client;
    }
}

TEST_CASE_TEMPLATE("thirty reloads with long requests: the last generations finish, the older ones are ended", A, App,
                   SharedApp) {
    Options options = permanent_options();
    options.draining_per_slot = 3;
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(patient_host<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        std::vector<Client> clients;
        for (int i = 1; i <= 30; ++i) {
            Client client = co_await client_of(app, port, static_cast<WorkerId>(i));
            clients.push_back(std::move(client));
            const auto report = co_await app.reload();
            CHECK(report);
            while (app.workers().size() > 4) co_await pause(app.context(), 1ms); // one that was killed has to go
            if (i > 3) CHECK(app.workers().size() == 4);
        }
        for (std::size_t i = 0; i < 27; ++i) {
            const std::string rest = co_await clients[i].read_all();
            CHECK((rest.empty() || rest == "reset"));
        }
        for (std::size_t i = 27; i < 30; ++i) CHECK(clients[i].is_silent());
        clients.clear(); // they are done
        co_await until_settled(app, 1);
        CHECK(app.workers().at(0).id == 31);
        co_await app.stop();
    });
}

constexpr std::size_t download_size = 24 << 20;

template <class W>
Task<> download(W& self, Socket socket) {
    std::string block(1 << 16, ' ');
    std::error_code error;
    for (std::size_t sent = 0; sent < download_size && !error; sent += block.size()) {
        std::ranges::fill(block, static_cast<char>('a' + sent / block.size() % 26));
        co_await asio::async_write(socket, asio::buffer(block), asio::redirect_error(asio::use_awaitable, error));
    }
    if (error) co_await say(self, error.message());
    socket.shutdown(asio::socket_base::shutdown_both, error);
}
template <class W>
Task<> download_server(W& self) {
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept()) spawn(self.context(), download(self, std::move(*socket)));
    co_await until_alone(self);
}

TEST_CASE_TEMPLATE("a long download goes on over several reloads and is complete", A, App, SharedApp) {
    in_master<A>(permanent_options(), [](A& app) -> Task<> {
        app.spawn(download_server<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        Client client(app.context(), port);
        std::string text;
        co_await client.read_exactly(text, 1);
        for (int i = 0; i < 3; ++i) {
            const auto report = co_await app.reload();
            CHECK(report);
            std::string more;
            co_await client.read_exactly(more, 4 << 20);
            text += more;
        }
        const std::string rest = co_await client.read_all();
        text += rest;
        CHECK(text.size() == download_size);
        bool is_right = true;
        for (std::size_t i = 0; i < text.size(); i += 1 << 12)
            is_right = is_right && text[i] == static_cast<char>('a' + (i >> 16) % 26);
        CHECK(is_right);
        co_await end_of(app, 1);
        co_await app.stop();
    });
}

// A system without processes

class NoProcesses final : public cohort::detail::System {
public:
    int left = 1'000'000; ///< so many calls fail
    int calls = 0;
    pid_t fork() noexcept override {
        if (++calls > left) return System::fork();
        errno = EAGAIN;
        return -1;
    }

private:
    Replace installed_{*this};
};

TEST_CASE_TEMPLATE("a reload says that no process can be made, the old workers serve, and later it works", A, App,
                   SharedApp) {
    in_master<A>(permanent_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 2);
        {
            NoProcesses system;
            for (int i = 0; i < 3; ++i) {
                const auto report = co_await app.reload();
                CHECK(report.error == std::errc::resource_unavailable_try_again);
                CHECK(report.replaced == 0);
                CHECK(staying(app) == std::set<WorkerId>{1, 2});
                const std::string reply = co_await ask(app, port);
                CHECK(who(reply) != 0);
            }
            CHECK(system.calls == 3);
        }
        const auto report = co_await app.reload();
        CHECK(report);
        CHECK(report.replaced == 2);
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) > 2);
        co_await app.stop();
    });
}

TEST_CASE_TEMPLATE("a crashed worker's successor is tried again and again, without haste, until it can be made", A, App,
                   SharedApp) {
    in_master<A>(permanent_options(), [](A& app) -> Task<> {
        app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        NoProcesses system;
        system.left = 5;
        const auto begin = std::chrono::steady_clock::now();
        const auto worked = cpu_time();
        ::kill(app.workers().at(0).pid, SIGKILL);
        co_await end_of(app, 1);
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 10); // they wait
        co_await next(app, forked);
        CHECK(system.calls == 6);
        CHECK(std::chrono::steady_clock::now() - begin >= 5 * 100ms); // Backoff::first
#if !defined(COHORT_SANITIZED)
        CHECK(cpu_time() - worked < 60ms);
#else
        CHECK(cpu_time() > worked);
#endif
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{2, 10}});
        co_await app.stop();
    });
}

// Masters that are replaced

std::size_t children() {
    std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    return static_cast<std::size_t>(std::distance(std::istream_iterator<pid_t>(list), {}));
}

Task<> until_children(App& app, std::size_t count) {
    while (children() < count) co_await pause(app.context(), 1ms);
}

/// A new program of which no worker gets to its listening.
Task<> end_early(App::Worker& self) {
    co_await pause(self.context(), std::chrono::milliseconds(std::stoi(NextMaster::argument())));
    throw std::runtime_error("broken");
}

const NextMaster ends_early("ends-early", [] { return run<App>(permanent_options(), end_early); });

TEST_CASE("a new master is not ready because its workers, started again and again, are there for a moment") {
    Options options = permanent_options();
    options.boot_timeout = 2s;
    for (const char* const after : {"0", "50", "400"}) {
        CAPTURE(std::string(after));
        ::setenv(NextMaster::variable, ("ends-early " + std::string(after)).c_str(), 1);
        in_master<App>(options, [](App& app) -> Task<> {
            for (int i = 0; i < 2; ++i) app.spawn(server);
            const std::uint16_t port = co_await served_port(app, 2);
            const ReloadReport report = co_await app.upgrade();
            CHECK(report.error == Errc::not_ready);
            CHECK(children() == 2);
            const std::string reply = co_await ask(app, port);
            CHECK(who(reply) <= 2);
            co_await app.stop();
        });
        ::unsetenv(NextMaster::variable);
    }
}

TEST_CASE("an upgrade that comes to nothing leaves nothing, and is in the way of nothing") {
    Options options = permanent_options();
    SUBCASE("the caller gives up") {}
    SUBCASE("the new master is never ready") { options.boot_timeout = 300ms; }
    const bool gives_up = options.boot_timeout > 1s;
    in_master<App>(options, [gives_up](App& app) -> Task<> {
        app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        for (int i = 0; i < 2; ++i) {
            if (gives_up) {
                const auto first = co_await either(drop_result(app.upgrade()), until_children(app, 2));
                CHECK(first == 1);
            } else {
                const ReloadReport report = co_await app.upgrade();
                CHECK(report.error == Errc::not_ready);
                CHECK_FALSE(report.status);
            }
            CHECK(children() == 1);
        }
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) == 1);
        const ReloadReport report = co_await app.reload();
        CHECK(report);
        co_await app.stop();
    });
}

} // namespace

// SPDX-License-Identifier: MIT
#include "daemon.hpp"

#include "app.hpp"
#include "home.hpp"

#include <cohort/control.hpp>
#include <cohort/master.hpp>
#include <cohort/mode/shared_listener.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace manager {

namespace {

using namespace cohort;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Silence {
    bool nothing = false;
};
using Supervisors = Master<Silence, SharedListener>;

/// Something that others wait for has happened.
class Changes {
public:
    explicit Changes(asio::io_context& io) : timer_(io, Clock::time_point::max()) {}

    void tell() { timer_.expires_at(Clock::time_point::max()); } // ends all waits
    Task<> next() {
        std::error_code ended;
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    }

private:
    asio::steady_timer timer_;
};

/// What was asked of several supervisors at a time.
struct Seen {
    AppList list;
    std::size_t missing = 0;
};

/// The CPU time of an instance when it was looked at.
struct Used {
    std::chrono::milliseconds cpu{};
    Clock::time_point when{};
};

struct App {
    std::uint32_t id = 0;
    AppSpec spec;
    bool wanted = true;  // it is to run
    bool placed = false; // its supervisor has a slot
    unsigned slot = 0;
    WorkerId supervisor = 0; // 0: none runs
    pid_t pid = 0;
    bool busy = false;  // one change at a time
    std::string ending; // "errored", "stopped", and how
    std::optional<control::Client> client;
    std::map<pid_t, Used> used;
};
using AppPtr = std::shared_ptr<App>;

[[noreturn]] void refuse(const App& app, const std::string& why) {
    throw std::runtime_error(app.spec.name + ": " + why);
}

class Daemon {
public:
    Daemon() : program_(std::filesystem::read_symlink("/proc/self/exe")), supervisors_(io_, options()), changes_(io_) {}

    int run() {
        offer();
        asio::co_spawn(io_, follow(), asio::detached);
        read_state();
        asio::co_spawn(io_, until_told(), asio::detached);
        io_.run();
        return 0;
    }

private:
    Options options() const {
        Options options;
        options.restart = Restart::transient;
        options.liveness.interval = 0ms;
        options.grace = 24h; // that of the app is its supervisor's affair
        options.backoff.failed_starts = std::numeric_limits<unsigned>::max();
        options.control.path = home_.daemon_socket();
        options.control.clients = 64;
        options.pid_file = home_.daemon_pid_file();
        options.title = "manager";
        return options;
    }

    template <class Argument, class Result>
    void on(const char* name, Task<Result> (Daemon::*handler)(Argument)) {
        control::on<Argument>(supervisors_, name,
                              [this, handler](const Argument& argument) { return (this->*handler)(argument); });
    }
    void offer() {
        on("start app", &Daemon::start);
        on("start apps", &Daemon::start_again);
        on("list apps", &Daemon::list);
        on("stop apps", &Daemon::stop);
        on("restart apps", &Daemon::restart);
        on("reload apps", &Daemon::reload);
        on("delete apps", &Daemon::remove);
        on("scale apps", &Daemon::scale);
        on("signal apps", &Daemon::signal);
        on("places of apps", &Daemon::places);
        on("end", &Daemon::end);
    }

    // What the commands ask for

    Task<AppList> start(StartRequest request) {
        const AppSpec& spec = request.spec;
        if (const std::string fault = fault_of(spec); !fault.empty()) throw std::runtime_error(fault);
        if (find(spec.name)) throw std::runtime_error(spec.name + ": there is one of this name");
        const auto app = std::make_shared<App>();
        app->id = ++last_id_;
        app->spec = spec;
        apps_[app->spec.name] = app;
        try {
            co_await change(app, &Daemon::begin);
        } catch (...) {
            if (!app->placed) forget(*app);
            throw;
        }
        std::vector<AppPtr> one(1, app);
        AppList list = co_await status_of(std::move(one));
        co_return list;
    }
    Task<AppList> start_again(Selection apps) { return for_all(std::move(apps), &Daemon::begin); }
    Task<AppList> stop(Selection apps) { return for_all(std::move(apps), &Daemon::halt); }
    Task<AppList> reload(Selection apps) { return for_all(std::move(apps), &Daemon::replace); }
    Task<AppList> restart(Selection apps) { return for_all(std::move(apps), &Daemon::halt_and_begin); }
    Task<AppList> remove(Selection selection) {
        const auto chosen = choose(selection);
        for (const AppPtr& app : chosen) {
            co_await change(app, &Daemon::halt);
            forget(*app);
        }
        AppList list = co_await status_of({});
        co_return list;
    }
    Task<AppList> list(Selection selection) {
        std::vector<AppPtr> chosen = choose(selection);
        AppList list = co_await status_of(std::move(chosen));
        co_return list;
    }
    Task<AppList> scale(ScaleRequest request) {
        const auto chosen = choose(request.apps);
        for (const AppPtr& app : chosen) {
            const std::int64_t wanted = request.number + (request.relative ? std::int64_t{app->spec.instances} : 0);
            if (wanted < 1 || wanted > 1'000) refuse(*app, "it can have from 1 to 1000 instances");
            AppSpec spec = app->spec;
            spec.instances = static_cast<std::uint32_t>(wanted);
            if (app->supervisor != 0) {
                const control::Client client = co_await reach(app);
                co_await client.scale(spec.instances);
            }
            app->spec = spec;
            replace_file(home_.spec(app->id), to_json(spec)); // of which a supervisor's successor makes them
            save();
        }
        AppList list = co_await status_of(chosen);
        co_return list;
    }
    Task<AppList> signal(SignalRequest request) {
        const auto chosen = choose(request.apps);
        for (const AppPtr& app : chosen) {
            if (app->supervisor == 0) refuse(*app, "it does not run");
            const control::Client client = co_await reach(app);
            const control::Scale number{static_cast<std::uint32_t>(request.signal)};
            co_await client.call<control::Nothing>("signal all", number, 5s);
        }
        AppList list = co_await status_of(chosen);
        co_return list;
    }
    Task<Places> places(Selection selection) {
        Places places;
        for (const AppPtr& app : choose(selection))
            places.places.push_back(
                {app->spec, app->supervisor != 0, home_.socket(app->id), home_.log(app->spec.name)});
        co_return places;
    }
    /// The apps that are to run stay so: the next daemon starts them again.
    Task<control::Nothing> end(control::Nothing) {
        ending_ = true;
        co_await supervisors_.stop();
        asio::co_spawn(io_, leave(), asio::detached);
        co_return control::Nothing{};
    }
    /// The command gets its answer first.
    Task<> leave() {
        asio::steady_timer moment(io_, 20ms);
        co_await moment.async_wait(asio::use_awaitable);
        io_.stop();
    }
    Task<> until_told() {
        asio::signal_set signals(io_, SIGTERM, SIGINT);
        co_await signals.async_wait(asio::use_awaitable);
        const control::Nothing nothing{};
        asio::co_spawn(io_, end(nothing), asio::detached);
        co_await signals.async_wait(asio::use_awaitable); // again: at once
        supervisors_.kill_all();
    }

    // Steps of one app

    using Step = Task<> (Daemon::*)(AppPtr);

    Task<AppList> for_all(Selection selection, Step step) {
        const auto chosen = choose(selection);
        std::string failures;
        for (const AppPtr& app : chosen) {
            try {
                co_await change(app, step);
            } catch (const std::exception& error) {
                failures += (failures.empty() ? "" : "\n") + std::string(error.what());
            }
        }
        if (!failures.empty()) throw std::runtime_error(failures);
        AppList list = co_await status_of(chosen);
        co_return list;
    }

    Task<> change(AppPtr app, Step step) {
        if (ending_) refuse(*app, "the daemon ends");
        while (app->busy) co_await changes_.next();
        const auto found = apps_.find(app->spec.name);
        if (found == apps_.end() || found->second != app) refuse(*app, "it was deleted");
        app->busy = true;
        std::exception_ptr failure;
        try {
            co_await (this->*step)(app);
        } catch (...) {
            failure = std::current_exception();
        }
        app->busy = false;
        changes_.tell();
        if (failure) std::rethrow_exception(failure);
    }

    /// Until its first instances have been executed, or one of them has ended.
    Task<> begin(AppPtr app) {
        if (app->placed) refuse(*app, "it runs already");
        app->wanted = true;
        app->ending.clear();
        launch(*app);
        const control::Client client = co_await reach(app);
        unsigned online = 0;
        for (std::uint64_t next = 1; online < app->spec.instances;) {
            const control::EventsFrom from{next};
            const control::Events some = co_await client.call<control::Events>("events", from, 10s);
            next = some.next;
            for (const auto& event : some.events) {
                if (event.kind == WorkerState::online) ++online;
                if (event.kind != WorkerState::exited || event.error.category.empty()) continue;
                const std::string why = event.error.text;
                co_await halt(app);
                app->ending = "errored\n" + why;
                refuse(*app, "it cannot be executed: " + why);
            }
            if (some.ended) break;
        }
    }
    Task<> halt(AppPtr app) {
        app->wanted = false;
        save();
        for (WorkerId told = 0; app->placed; co_await changes_.next()) {
            if (app->supervisor == told) continue;
            told = app->supervisor; // another one, if the first was just being replaced
            ask_to_leave(told);
        }
    }
    void ask_to_leave(WorkerId supervisor) {
        try {
            if (supervisor != 0) supervisors_.disconnect(supervisor);
        } catch (const std::system_error& error) {
            if (error.code() != Errc::no_such_worker) throw; // it has ended, and the event is to come
        }
    }
    Task<> halt_and_begin(AppPtr app) {
        co_await halt(app);
        co_await begin(app);
    }
    Task<> replace(AppPtr app) {
        if (app->supervisor == 0) refuse(*app, "it does not run");
        const control::Client client = co_await reach(app);
        const control::Outcome outcome = co_await client.reload();
        if (outcome) co_return;
        std::string why = "not reloaded, the old instances stay: " + outcome.error.text;
        if (outcome.status) why += "; the new one " + outcome.status->describe();
        if (outcome.failed) {
            const control::Logs last = co_await client.last_logs(*outcome.failed, 5);
            for (const auto& line : last.lines) why += "\n  " + line.text;
        }
        refuse(*app, why);
    }

    // Supervisors

    WorkerOptions supervisor_of(const App& app) const {
        WorkerOptions options;
        options.program = program_;
        options.args = {"supervise", std::to_string(app.id)};
        options.outlives_master = true;
        return options;
    }
    /// Starts one, or adopts the one of the daemon before, `running`.
    void launch(App& app, pid_t running = 0) {
        replace_file(home_.spec(app.id), to_json(app.spec));
        std::filesystem::remove(home_.ending(app.id));
        app.supervisor = supervisors_.adopt_program(running, supervisor_of(app));
        for (const auto& worker : supervisors_.workers()) {
            if (worker.id != app.supervisor) continue;
            app.slot = worker.slot;
            app.pid = worker.pid;
        }
        app.placed = true;
        app.client.reset();
        save();
        changes_.tell();
    }

    AppPtr in_slot(unsigned slot) const {
        for (const auto& [name, app] : apps_)
            if (app->placed && app->slot == slot) return app;
        return nullptr;
    }
    /// What becomes of the supervisors. One that was killed gets a successor.
    Task<> follow() {
        for (;;) {
            const auto event = co_await supervisors_.next_event();
            if (!event && ending_) co_return;
            if (event)
                note(*event);
            else
                co_await changes_.next(); // the last one has ended; another one may be started
        }
    }
    void note(const Event& event) {
        const AppPtr app = in_slot(event.slot);
        if (app && event.kind == WorkerState::forked && event.worker > app->supervisor) {
            app->supervisor = event.worker;
            app->pid = event.pid;
            app->client.reset();
            save();
        }
        if (app && event.kind == WorkerState::exited && event.worker == app->supervisor) on_end(*app, event);
        changes_.tell();
    }
    void on_end(App& app, const Event& event) {
        app.supervisor = 0;
        app.pid = 0;
        app.client.reset();
        app.used.clear();
        if (!event.voluntary && !event.status->success()) return; // another one follows
        app.placed = false;
        if (!event.voluntary) app.wanted = false;
        app.ending = content_of(home_.ending(app.id));
        save();
    }

    /// Its control socket, which it opens soon after its start.
    Task<control::Client> reach(AppPtr app) {
        const auto deadline = Clock::now() + 10s;
        while (!app->client) {
            if (!app->placed) refuse(*app, ended(*app));
            std::string why;
            try {
                control::Client client = co_await control::Client::connect(io_.get_executor(), home_.socket(app->id));
                const auto status = co_await client.call<control::MasterStatus>("status", control::Nothing{}, 5s);
                // Before it has opened its own, that of one before may still be there.
                if (status.pid == app->pid) app->client = std::move(client);
            } catch (const std::system_error& error) {
                why = error.what();
            }
            if (app->client) break;
            if (Clock::now() > deadline) refuse(*app, "its supervisor does not answer: " + why);
            asio::steady_timer moment(io_, 1ms);
            co_await moment.async_wait(asio::use_awaitable);
        }
        co_return *app->client;
    }
    static std::string ended(const App& app) {
        const auto line = app.ending.find('\n');
        return "it has ended" + (line == std::string::npos ? "" : ": " + app.ending.substr(line + 1));
    }

    // Looking

    AppPtr find(const std::string& name) const {
        const auto found = apps_.find(name);
        return found == apps_.end() ? nullptr : found->second;
    }
    /// In the order of their numbers, each once.
    std::vector<AppPtr> choose(const Selection& selection) const {
        std::map<std::uint32_t, AppPtr> chosen;
        for (const std::string& word : selection.words) {
            bool means_some = word == "all";
            for (const auto& [name, app] : apps_) {
                const bool is_it =
                    word == "all" || name == word || app->spec.group == word || std::to_string(app->id) == word;
                if (is_it) chosen[app->id] = app;
                means_some = means_some || is_it;
            }
            if (!means_some) throw std::runtime_error(word + ": there is no app of this name, id or namespace");
        }
        std::vector<AppPtr> apps;
        for (const auto& [id, app] : chosen) apps.push_back(app);
        return apps;
    }

    /// All at the same time: one that does not answer holds up the others for 2 s together.
    Task<AppList> status_of(std::vector<AppPtr> apps) {
        const auto seen = std::make_shared<Seen>(); // whoever has asked may be gone before all have answered
        seen->list.apps.resize(apps.size());
        seen->missing = apps.size();
        for (std::size_t i = 0; i != apps.size(); ++i)
            asio::co_spawn(io_, look(apps[i], seen->list.apps[i]), [this, seen](const std::exception_ptr&) {
                --seen->missing;
                changes_.tell();
            });
        while (seen->missing != 0) co_await changes_.next();
        co_return std::move(seen->list);
    }
    Task<> look(AppPtr app, AppStatus& status) {
        status.id = app->id;
        status.name = app->spec.name;
        status.group = app->spec.group;
        const auto line = app->ending.find('\n');
        status.status = app->placed                                         ? "starting"
                        : app->wanted || app->ending.starts_with("errored") ? "errored"
                                                                            : "stopped";
        if (line != std::string::npos) status.last_end = app->ending.substr(line + 1);
        if (!app->placed) co_return;
        try {
            const control::Client client = co_await reach(app);
            const auto seen = co_await client.call<control::MasterStatus>("status", control::Nothing{}, 2s);
            show(seen, *app, status);
        } catch (const std::exception&) {
            app->client.reset();
            status.status = "errored";
            status.last_end = "its supervisor does not answer";
        }
    }
    static void show(const control::MasterStatus& seen, App& app, AppStatus& status) {
        const auto now = Clock::now();
        std::map<pid_t, Used> used;
        unsigned ready = 0;
        for (const auto& worker : seen.workers) {
            Instance one{worker.pid, worker.slot};
            const bool leaves = worker.state == WorkerState::draining;
            if (worker.ready && !leaves) ++ready;
            one.state = leaves ? "stopping" : worker.ready ? "online" : "starting";
            one.uptime_ms = static_cast<std::uint64_t>(worker.uptime.count());
            one.memory_bytes = worker.memory;
            for (const auto& slot : seen.slots)
                if (slot.slot == worker.slot) one.restarts = slot.restarts;
            const auto before = app.used.find(worker.pid);
            const Used since = before == app.used.end() ? Used{0ms, now - worker.uptime} : before->second;
            const std::chrono::duration<double, std::milli> time = now - since.when;
            if (time > 100ms)
                one.cpu_percent = 100.0 * static_cast<double>((worker.cpu - since.cpu).count()) / time.count();
            used[worker.pid] = time > 1s || before == app.used.end() ? Used{worker.cpu, now} : since;
            status.instances.push_back(std::move(one));
        }
        app.used = std::move(used);
        for (const auto& slot : seen.slots)
            if (!slot.last_end.empty()) status.last_end = slot.last_end;
        status.status = ready >= seen.wanted ? "online" : "starting";
        if (seen.workers.empty() && !status.last_end.empty()) status.status = "backoff";
        if (seen.given_up) status.status = "errored";
        if (seen.stopping) status.status = "stopping";
    }

    // What outlives the daemon

    void save() {
        nlohmann::ordered_json state;
        state["version"] = 1;
        state["last_id"] = last_id_;
        state["apps"] = nlohmann::ordered_json::array();
        for (const auto& [name, app] : apps_)
            state["apps"].push_back({{"id", app->id},
                                     {"wanted", app->wanted},
                                     {"ending", app->ending},
                                     {"spec", nlohmann::ordered_json::parse(to_json(app->spec))}});
        replace_file(home_.apps(), state.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
    }
    void read_state() {
        const std::string text = content_of(home_.apps());
        if (text.empty()) return;
        const auto state = nlohmann::json::parse(text);
        last_id_ = state.at("last_id").get<std::uint32_t>();
        for (const auto& one : state.at("apps")) {
            const auto app = std::make_shared<App>();
            app->id = one.at("id").get<std::uint32_t>();
            app->wanted = one.at("wanted").get<bool>();
            app->ending = one.at("ending").get<std::string>();
            app->spec = spec_from_json(one.at("spec").dump());
            apps_[app->spec.name] = app;
        }
        for (const auto& [name, app] : apps_) resume(*app);
    }
    void resume(App& app) {
        const pid_t running = holder_of(home_.pid_file(app.id));
        if (running == 0 && !app.wanted) return;
        try {
            launch(app, running);
            if (!app.wanted) supervisors_.disconnect(app.supervisor); // the daemon before was about to
        } catch (const std::exception& error) {
            app.ending = "errored\n" + std::string(error.what());
            std::cerr << app.spec.name << ": " << error.what() << '\n';
        }
    }
    void forget(const App& app) {
        for (const auto& path :
             {home_.spec(app.id), home_.ending(app.id), home_.socket(app.id), home_.pid_file(app.id)})
            std::filesystem::remove(path);
        apps_.erase(std::string(app.spec.name));
        save();
    }

    Home home_;
    std::string program_;
    asio::io_context io_{1};
    Supervisors supervisors_;
    Changes changes_;
    std::map<std::string, AppPtr> apps_;
    std::uint32_t last_id_ = 0;
    bool ending_ = false;
};

} // namespace

int run_daemon() {
    Daemon daemon;
    return daemon.run();
}

} // namespace manager

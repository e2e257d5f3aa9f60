// SPDX-License-Identifier: MIT
#include "supervise.hpp"

#include "app.hpp"
#include "home.hpp"

#include <cohort/control.hpp>
#include <cohort/mode/shared_listener.hpp>
#include <cohort/run.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace manager {

namespace {

using namespace cohort;
using std::chrono::milliseconds;

/// The instances speak to nobody.
struct Silence {
    bool nothing = false;
};
using App = Master<Silence, SharedListener>;

Restart restart_of(const AppSpec& spec) {
    if (spec.restart == "never") return Restart::temporary;
    return spec.restart == "on-failure" ? Restart::transient : Restart::permanent;
}

Options options_of(const AppSpec& spec, const Home& home, std::uint32_t id) {
    Options options;
    options.workers = spec.instances;
    for (const std::string& endpoint : spec.listen) options.listen.emplace_back(endpoint);
    options.restart = restart_of(spec);
    options.readiness = Readiness::announced;
    options.boot_timeout = milliseconds(spec.min_uptime_ms) + std::chrono::seconds(30);
    // One that opens its port itself cannot have another beside it.
    options.reload_order = spec.listen.empty() ? ReloadOrder::stop_first : ReloadOrder::start_first;
    options.grace = milliseconds(spec.grace_ms);
    options.control.path = home.socket(id);
    options.pid_file = home.pid_file(id); // by which the next daemon finds it
    options.logs.emplace();
    options.logs->path = home.log(spec.name);
    options.logs->format = LogFormat::json; // `cohort logs` reads it
    options.logs->rotate_size = spec.log_size;
    options.logs->keep = spec.log_files;
    options.title = spec.name;
    options.worker.program = spec.program;
    options.worker.args = spec.args;
    options.worker.env = spec.env;
    options.worker.keep_env.emplace();
    options.worker.cwd = spec.cwd;
    options.worker.descriptors = {{0, -1}};
    options.worker.stop_signal = spec.stop_signal;
    options.worker.kill_group = true;
    return options;
}

/// It has not ended for so long.
Task<> make_ready(App& app, WorkerId worker, milliseconds time) {
    asio::steady_timer timer(app.context(), time);
    co_await timer.async_wait(asio::use_awaitable);
    for (const auto& one : app.workers())
        if (one.id == worker) app.ready(worker);
}

/// All of them, by their numbers: none is reaped but by this process, so they are still theirs.
Task<control::Nothing> signal_all(App& app, int signal) {
    for (const auto& worker : app.workers()) ::kill(worker.pid, signal);
    co_return control::Nothing{};
}

Task<> watch(App& app, std::uint64_t min_uptime, std::string ending) {
    control::on<control::Scale>(app, "signal all", [&app](const control::Scale& wanted) {
        return signal_all(app, static_cast<int>(wanted.workers));
    });
    std::string last;
    while (const auto event = co_await app.next_event()) {
        if (event->kind == WorkerState::online)
            asio::co_spawn(app.context(), make_ready(app, event->worker, milliseconds(min_uptime)), asio::detached);
        if (event->kind != WorkerState::exited) continue;
        last = event->status->describe();
        if (event->error) last += " (" + event->error.message() + ")";
    }
    if (app.stopping() && !app.has_given_up()) co_return;
    replace_file(ending, (app.has_given_up() ? "errored\n" : "stopped\n") + last);
}

std::string one_line(std::string text) {
    constexpr std::string_view said_by = "cohort: ";
    if (text.starts_with(said_by)) text.erase(0, said_by.size());
    return text.substr(0, text.find('\n'));
}

} // namespace

int supervise(std::uint32_t id) {
    const Home home;
    const AppSpec spec = spec_from_json(content_of(home.spec(id)));
    // What cohort says before there is a log: why it cannot begin.
    const std::string complaints = home.ending(id) + ".why";
    const int file = ::open(complaints.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ::dup2(file, STDERR_FILENO);
    const int code = run_program<App>(options_of(spec, home, id),
                                      [&](App& app) { return watch(app, spec.min_uptime_ms, home.ending(id)); });
    std::string why = content_of(complaints);
    std::filesystem::remove(complaints);
    if (code != 0 && content_of(home.ending(id)).empty()) replace_file(home.ending(id), "errored\n" + one_line(why));
    return 0;
}

} // namespace manager

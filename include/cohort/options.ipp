// SPDX-License-Identifier: MIT
// The bodies of options.hpp (layer 1).
#pragma once

#include <cohort/options.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>

#include <concepts>
#include <sstream>
#include <string_view>

namespace cohort::detail {

/// Lines of "name: value".
class OptionLines {
public:
    template <class T>
    void add(std::string_view name, const T& value) {
        out_ << name << ": ";
        write(value);
        out_ << '\n';
    }
    std::string text() const { return out_.str(); }

private:
    template <std::integral N>
    void write(N value) {
        if constexpr (std::same_as<N, bool>)
            out_ << (value ? "yes" : "no");
        else
            out_ << value;
    }
    void write(double number) { out_ << number; }
    void write(std::chrono::milliseconds time) { out_ << time.count() << " ms"; }
    void write(std::string_view text) { out_ << '"' << printable(text) << '"'; }
    void write(const std::same_as<Endpoint> auto& endpoint) { write(endpoint.to_string()); }
    template <class T>
    void write(const std::optional<T>& value) {
        if (value)
            write(*value);
        else
            out_ << '-';
    }
    template <class T>
    void write(const std::vector<T>& values) {
        const char* between = "";
        for (const T& value : values) {
            out_ << between;
            write(value);
            between = " ";
        }
    }
    template <class Result, class... Arguments>
    void write(const std::function<Result(Arguments...)>& function) {
        out_ << (function ? "set" : "-");
    }

    std::ostringstream out_;
};

COHORT_DECL std::string_view name_of(Restart restart) noexcept {
    switch (restart) {
        case Restart::permanent: return "permanent";
        case Restart::transient: return "transient";
        case Restart::temporary: return "temporary";
    }
    return "?";
}

COHORT_DECL std::string_view name_of(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::error: return "error";
        case LogLevel::warning: return "warning";
        case LogLevel::info: return "info";
    }
    return "?";
}

COHORT_DECL void add_supervision(OptionLines& lines, const Options& options) {
    lines.add("restart", name_of(options.restart));
    lines.add("backoff.stable", options.backoff.stable);
    lines.add("backoff.at_once", options.backoff.at_once);
    lines.add("backoff.first", options.backoff.first);
    lines.add("backoff.longest", options.backoff.longest);
    lines.add("backoff.jitter", options.backoff.jitter);
    lines.add("backoff.failed_starts", options.backoff.failed_starts);
    lines.add("backoff.restarts", options.backoff.restarts);
    lines.add("backoff.period", options.backoff.period);
    lines.add("strategy", options.strategy == Strategy::one_for_all ? "one_for_all" : "one_for_one");
    lines.add("readiness", options.readiness == Readiness::announced ? "announced" : "automatic");
    lines.add("boot_timeout", options.boot_timeout);
    lines.add("liveness.interval", options.liveness.interval);
    lines.add("liveness.slow_after", options.liveness.slow_after);
    lines.add("liveness.timeout", options.liveness.timeout);
    lines.add("liveness.kill_after", options.liveness.kill_after);
    lines.add("recycle.requests", options.recycle.requests);
    lines.add("recycle.age", options.recycle.age);
    lines.add("recycle.memory", options.recycle.memory);
    lines.add("recycle.jitter", options.recycle.jitter);
    lines.add("recycle.interval", options.recycle.interval);
    lines.add("probe.check", options.probe.check);
    lines.add("probe.interval", options.probe.interval);
    lines.add("probe.timeout", options.probe.timeout);
    lines.add("probe.failures", options.probe.failures);
    lines.add("reload_order", options.reload_order == ReloadOrder::stop_first ? "stop_first" : "start_first");
    lines.add("reload_at_once", options.reload_at_once);
    lines.add("canary.workers", options.canary.workers);
    lines.add("canary.soak", options.canary.soak);
    lines.add("canary.healthy", options.canary.healthy);
    lines.add("canary.interval", options.canary.interval);
    lines.add("draining_per_slot", options.draining_per_slot);
    lines.add("grace", options.grace);
}

COHORT_DECL void add_traffic(OptionLines& lines, const Options& options) {
    lines.add("backlog", options.backlog);
    lines.add("credit", options.credit);
    lines.add("connections_per_worker", options.connections_per_worker);
    lines.add("stuck_after", options.stuck_after);
    lines.add("max_message", options.max_message);
    lines.add("calls_per_worker", options.calls_per_worker);
    lines.add("queued_calls", options.queued_calls);
    lines.add("autoscale", options.autoscale.has_value());
    if (!options.autoscale) return;
    lines.add("autoscale.least", options.autoscale->least);
    lines.add("autoscale.most", options.autoscale->most);
    lines.add("autoscale.load_per_worker", options.autoscale->load_per_worker);
    lines.add("autoscale.headroom", options.autoscale->headroom);
    lines.add("autoscale.interval", options.autoscale->interval);
    lines.add("autoscale.up_after", options.autoscale->up_after);
    lines.add("autoscale.down_after", options.autoscale->down_after);
    lines.add("autoscale.load", options.autoscale->load);
}

COHORT_DECL void add_worker(OptionLines& lines, const WorkerOptions& options) {
    std::vector<std::string> names;
    for (const auto& [name, value] : options.env) names.push_back(name);
    lines.add("worker.env", names);
    lines.add("worker.keep_env", options.keep_env);
    lines.add("worker.args", options.args);
    lines.add("worker.cwd", options.cwd);
    lines.add("worker.root", options.root);
    for (const auto& [number, source] : options.descriptors)
        lines.add("worker.descriptors." + std::to_string(number), source);
    lines.add("worker.cpus", options.cpus);
    lines.add("worker.pinning", options.pinning == Pinning::by_slot ? "by_slot" : "none");
    lines.add("worker.nice", options.nice);
    if (options.cgroup) {
        lines.add("worker.cgroup.memory", options.cgroup->memory);
        lines.add("worker.cgroup.cpus", options.cgroup->cpus);
        lines.add("worker.cgroup.cpu_weight", options.cgroup->cpu_weight);
        lines.add("worker.cgroup.processes", options.cgroup->processes);
    }
    for (const auto& [resource, limit] : options.limits) {
        lines.add("worker.limits." + std::to_string(resource) + ".soft", limit.soft);
        lines.add("worker.limits." + std::to_string(resource) + ".hard", limit.hard);
    }
    lines.add("worker.umask", options.umask);
    lines.add("worker.no_new_privileges", options.no_new_privileges);
    lines.add("worker.dumpable", options.dumpable);
    lines.add("worker.uid", options.uid);
    lines.add("worker.gid", options.gid);
    lines.add("worker.program", options.program);
    lines.add("worker.outlives_master", options.outlives_master);
    lines.add("worker.lifetime", options.lifetime);
    lines.add("worker.stop_signal", options.stop_signal);
    lines.add("worker.kill_group", options.kill_group);
}

} // namespace cohort::detail

namespace cohort {

COHORT_DECL std::string describe(const Options& options) {
    detail::OptionLines lines;
    lines.add("workers", options.workers);
    lines.add("listen", options.listen);
    lines.add("may_listen", options.may_listen);
    lines.add("spawn", options.spawn == Spawn::exec ? "exec" : "fork");
    detail::add_supervision(lines, options);
    detail::add_traffic(lines, options);
    lines.add("reap_strangers", options.reap_strangers);
    if (options.logs) {
        lines.add("logs.path", options.logs->path);
        lines.add("logs.format", options.logs->format == LogFormat::json ? "json" : "text");
        lines.add("logs.rotate_size", options.logs->rotate_size);
        lines.add("logs.rotate_every", std::chrono::milliseconds(options.logs->rotate_every));
        lines.add("logs.keep", options.logs->keep);
        lines.add("logs.compress", options.logs->compress);
        lines.add("logs.mode", options.logs->mode);
        lines.add("logs.crash_reports", options.logs->crash_reports);
    }
    lines.add("log_level", detail::name_of(options.log_level));
    lines.add("pid_file", options.pid_file);
    lines.add("fd_store", options.fd_store);
    lines.add("title", options.title);
    lines.add("hooks.before_fork", options.hooks.before_fork);
    lines.add("hooks.in_worker", options.hooks.in_worker);
    lines.add("hooks.on_exit", options.hooks.on_exit);
    lines.add("control.path", options.control.path);
    lines.add("control.users", options.control.users);
    lines.add("control.clients", options.control.clients);
    lines.add("control.silence", options.control.silence);
    detail::add_worker(lines, options.worker);
    return lines.text();
}

} // namespace cohort

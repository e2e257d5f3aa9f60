// SPDX-License-Identifier: MIT
// The bodies of monitoring/master.hpp (layer 5).
#pragma once

#include <cohort/monitoring/master.hpp>

#include <cohort/detail/access.hpp>
#include <cohort/detail/async/own_listener.hpp>
#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/supervise/supervisor.hpp>
#include <cohort/http/router.hpp>
#include <cohort/http/serve.hpp>
#include <cohort/monitoring.hpp>
#include <cohort/monitoring.ipp>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace cohort::monitoring::detail {

/// As it stands between quotes.
COHORT_DECL std::string label_of(const Endpoint& endpoint) {
    std::string text;
    for (const char c : endpoint.to_string()) {
        if (c == '"' || c == '\\') text += '\\';
        (c == '\n' ? text += "\\n" : text += c);
    }
    return text;
}

/// What the master alone knows.
COHORT_DECL void expose(Exposition& out, const Stats& stats) {
    const auto each = [&](const char* name, const char* help, std::uint64_t MessageCounts::*count) {
        out.describe(name, "counter", help);
        for (const SlotStats& slot : stats.slots)
            out.sample(name, "{slot=\"" + std::to_string(slot.slot) + "\"}", slot.messages.*count);
    };
    each("cohort_messages_sent_total", "Messages that the master has sent to workers.", &MessageCounts::sent);
    each("cohort_messages_received_total", "Messages that the master has received.", &MessageCounts::received);
    each("cohort_calls_made_total", "Calls of the master to workers.", &MessageCounts::calls_made);
    each("cohort_calls_received_total", "Calls of workers to the master.", &MessageCounts::calls_received);
    out.describe("cohort_queue_length", "gauge", "Connections of an endpoint that nobody has accepted yet.");
    for (const QueueStats& queue : stats.queues) {
        const std::string slot = queue.slot ? ",slot=\"" + std::to_string(*queue.slot) + "\"" : "";
        out.sample("cohort_queue_length", "{endpoint=\"" + label_of(queue.endpoint) + "\"" + slot + "}", queue.length);
    }
}

/// A master for as long as it is there: a request may come later.
class WatchedMaster {
public:
    explicit WatchedMaster(MasterBase& master)
        : master_(master), alive_(cohort::detail::Access::supervisor(master).lifetime()) {}

    bool is_stopping() const { return alive_.expired() || master_.stopping(); }
    http::Response readiness() const {
        if (is_stopping()) return unready("leaving\n");
        return master_.ready_workers() == 0 ? unready("no worker is ready\n") : http::text("ready\n");
    }
    http::Response metrics() const {
        if (alive_.expired()) return unready("leaving\n");
        Exposition out;
        expose(out, master_.totals());
        expose(out, master_.stats());
        return to_response(std::move(out));
    }

private:
    MasterBase& master_;
    std::weak_ptr<bool> alive_;
};

COHORT_DECL Task<http::Response> answer_readiness_of(WatchedMaster& master, const http::Request&) {
    co_return master.readiness();
}

COHORT_DECL Task<http::Response> answer_metrics_of(WatchedMaster& master, const http::Request&) {
    co_return master.metrics();
}

COHORT_DECL Task<http::Response> answer_liveness_of(WatchedMaster&, const http::Request&) { return answer_liveness(); }

/// The socket may have gone before.
COHORT_DECL Task<> close_when_stopping(Task<> stop, std::shared_ptr<cohort::detail::OwnListener> socket) {
    try {
        co_await std::move(stop);
    } catch (const std::exception&) { // the master is destroyed
    }
    socket->close();
}

} // namespace cohort::monitoring::detail

namespace cohort::monitoring {

COHORT_DECL Task<> serve(MasterBase& master, ServerSocket& socket) {
    detail::WatchedMaster watched(master);
    http::Router<detail::WatchedMaster> router;
    router.get("/livez", &detail::answer_liveness_of)
        .get("/readyz", &detail::answer_readiness_of)
        .get("/metrics", &detail::answer_metrics_of);
    auto stop = master.until_stopping();
    cohort::detail::spawn(master.context().get_executor(),
                          detail::close_when_stopping(std::move(stop), cohort::detail::Access::listener(socket)));
    // Its descriptors are the cluster's: whoever can connect here must not take them all.
    const http::ServerOptions options{.limits = {.body = 4096}, .max_connections = 32};
    co_await http::serve(watched, socket, std::move(router), options);
}

} // namespace cohort::monitoring

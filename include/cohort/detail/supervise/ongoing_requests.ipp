// SPDX-License-Identifier: MIT
// The bodies of ongoing_requests.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/ongoing_requests.hpp>

#include <cohort/crash_report.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/printable.hpp>
#include <cohort/detail/socket/socket_address.hpp>

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cohort::detail {

/// A request and whose it is.
struct OngoingOf {
    const WorkerRecord* worker;
    RequestCell::Seen seen;
};

COHORT_DECL std::vector<OngoingOf> oldest_requests(const WorkerRecord& worker, SharedPage& page, std::size_t most) {
    std::vector<OngoingOf> found;
    const RequestTable& requests = page.requests(worker.cell);
    for (std::uint32_t i = 0; i != requests.used(); ++i)
        if (const auto seen = requests.cells[i].read()) found.push_back({&worker, *seen});
    std::ranges::sort(found, {}, [](const OngoingOf& each) { return each.seen.begun; });
    if (found.size() > most) found.resize(most);
    return found;
}

/// Closing a socket that another process has, too, may wait for as long as that has set.
COHORT_DECL bool lingers(int socket) noexcept {
    linger option{};
    socklen_t size = sizeof option;
    return ::getsockopt(socket, SOL_SOCKET, SO_LINGER, &option, &size) != 0 || option.l_onoff != 0;
}

/// Empty: it has ended, or does not let its master look.
COHORT_DECL std::string peer_of(const WorkerRecord& worker, int socket) {
    if (socket < 0 || worker.reaped) return {};
    const UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, worker.pidfd.get(), socket, 0)));
    if (!copy) return {};
    if (lingers(copy.get())) copy.share();
    SocketAddress address;
    if (::getpeername(copy.get(), address.get(), &address.size) != 0) return {};
    return to_endpoint(address).to_string();
}

COHORT_DECL RequestInfo describe(const OngoingOf& request, std::uint64_t now, bool with_client) {
    const RequestCell::Seen& seen = request.seen;
    const std::uint64_t age = now - std::min(seen.begun, now);
    RequestInfo info;
    info.worker = request.worker->id;
    info.slot = request.worker->slot;
    info.age = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::nanoseconds(age));
    info.what = printable(seen.what.data());
    info.client = printable(seen.client.data());
    if (with_client && info.client.empty()) info.client = peer_of(*request.worker, seen.socket);
    return info;
}

COHORT_DECL std::vector<RequestInfo> ongoing_requests(const WorkerRecords& workers, SharedPage& page,
                                                      std::size_t most) {
    constexpr std::size_t with_client = 64;
    std::vector<OngoingOf> all;
    for (const auto& [id, worker] : workers) {
        const auto more = oldest_requests(*worker, page, most);
        all.insert(all.end(), more.begin(), more.end());
    }
    std::ranges::stable_sort(all, {}, [](const OngoingOf& each) { return each.seen.begun; });
    if (all.size() > most) all.resize(most);
    std::vector<RequestInfo> infos;
    const std::uint64_t now = nanoseconds_now();
    for (const OngoingOf& each : all) infos.push_back(describe(each, now, infos.size() < with_client));
    return infos;
}

COHORT_DECL void note_unanswered(WorkerRecord& worker, SharedPage& page) {
    constexpr std::size_t most_said = 8;
    const std::uint64_t now = nanoseconds_now();
    for (const OngoingOf& each : oldest_requests(worker, page, CrashReport::most_requests))
        worker.unanswered.push_back(describe(each, now, true));
    for (const RequestInfo& info : std::span(worker.unanswered).first(std::min(worker.unanswered.size(), most_said)))
        if (!info.what.empty())
            log_line(LogLevel::warning, "worker " + std::to_string(worker.id) + ": not answered: " + info.describe());
}

} // namespace cohort::detail

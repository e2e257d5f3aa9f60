// SPDX-License-Identifier: MIT
// LeaderElection: which worker has which role, and who is next, as a state machine without clock or process (layer 1).
#pragma once

#include <cohort/error.hpp>
#include <cohort/event.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <list>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace cohort::detail {

/// One request of one worker for a role; a worker may have several.
struct Candidacy {
    WorkerId worker = 0;
    std::uint32_t request = 0;

    friend bool operator==(const Candidacy&, const Candidacy&) = default;
};

/// The first candidate for a role holds it. Never two at a time: the next one gets it when the holder has resigned, or
/// its process has ended. The functions return the newly elected.
class LeaderElection {
public:
    using Elected = std::vector<Candidacy>;

    /// For a worker that asks for ever more.
    static constexpr unsigned most_of_one_worker = 256;

    /// Errc::queue_full: this worker has asked for too many.
    std::error_code campaign(const std::string& role, Candidacy candidacy, Elected& elected) {
        const auto is_of_this_worker = [&](const Entry& entry) { return entry.who.worker == candidacy.worker; };
        if (std::ranges::count_if(entries_, is_of_this_worker) == most_of_one_worker) return Errc::queue_full;
        if (first_of(role) == nullptr) elected.push_back(candidacy);
        entries_.push_back({role, candidacy});
        return {};
    }
    /// Gives up a role, or waiting for it.
    Elected resign(Candidacy candidacy) { return remove(candidacy.worker, &candidacy.request); }
    /// The worker is to leave: it gets nothing more, and keeps what it has.
    void withdraw(WorkerId worker) { remove_waiting(worker, nullptr); }
    /// The worker's process has ended.
    Elected leave(WorkerId worker) { return remove(worker, nullptr); }

    std::optional<WorkerId> holder(const std::string& role) const {
        const Entry* const first = first_of(role);
        return first == nullptr ? std::nullopt : std::optional(first->who.worker);
    }

private:
    struct Entry {
        std::string role;
        Candidacy who;
    };
    using Entries = std::list<Entry>;

    /// The one that has the role; null when nobody asks for it.
    const Entry* first_of(const std::string& role) const noexcept {
        for (const Entry& entry : entries_)
            if (entry.role == role) return &entry;
        return nullptr;
    }
    /// `request`: only that one; null: all of the worker.
    static bool is_of(const Entry& entry, WorkerId worker, const std::uint32_t* request) noexcept {
        return entry.who.worker == worker && (request == nullptr || entry.who.request == *request);
    }
    void remove_waiting(WorkerId worker, const std::uint32_t* request) {
        for (auto entry = entries_.begin(); entry != entries_.end();) {
            const bool waits = is_of(*entry, worker, request) && first_of(entry->role) != &*entry;
            entry = waits ? entries_.erase(entry) : std::next(entry);
        }
    }
    /// Waiting candidacies are removed first, or they would get what the same worker gives up.
    Elected remove(WorkerId worker, const std::uint32_t* request) {
        remove_waiting(worker, request);
        Elected elected;
        for (auto entry = entries_.begin(); entry != entries_.end();) {
            if (!is_of(*entry, worker, request)) {
                ++entry;
                continue;
            }
            const std::string role = std::move(entry->role);
            entry = entries_.erase(entry);
            if (const Entry* const next = first_of(role)) elected.push_back(next->who);
        }
        return elected;
    }

    Entries entries_; // of all roles, in the order in which they came
};

} // namespace cohort::detail

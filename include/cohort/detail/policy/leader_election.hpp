// SPDX-License-Identifier: MIT
// LeaderElection: which worker has which role, and who is next, as a state machine without clock or process (layer 1).
#pragma once

#include <cohort/error.hpp>
#include <cohort/event.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <system_error>
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
        const Is of_this_worker{candidacy.worker, nullptr};
        std::ptrdiff_t count = 0;
        for (const auto& [name, line] : lines_) count += std::ranges::count_if(line, of_this_worker);
        if (count == most_of_one_worker) return Errc::queue_full;
        Line& line = lines_[role];
        if (line.empty()) elected.push_back(candidacy);
        line.push_back(candidacy);
        return {};
    }
    /// Gives up a role, or waiting for it.
    Elected resign(Candidacy candidacy) { return remove({candidacy.worker, &candidacy.request}); }
    /// The worker is to leave: it gets nothing more, and keeps what it has.
    void withdraw(WorkerId worker) {
        for (auto& [role, line] : lines_) remove_waiting(line, {worker, nullptr});
    }
    /// The worker's process has ended.
    Elected leave(WorkerId worker) { return remove({worker, nullptr}); }

    std::optional<WorkerId> holder(const std::string& role) const {
        const auto found = lines_.find(role);
        return found == lines_.end() ? std::nullopt : std::optional(found->second.front().worker);
    }

private:
    /// Who has the role, and who waits for it.
    using Line = std::deque<Candidacy>;

    /// `request`: only that one; null: all of the worker.
    struct Is {
        bool operator()(const Candidacy& one) const noexcept {
            return one.worker == worker && (request == nullptr || one.request == *request);
        }

        WorkerId worker;
        const std::uint32_t* request;
    };

    static void remove_waiting(Line& line, Is unwanted) {
        line.erase(std::remove_if(line.begin() + 1, line.end(), unwanted), line.end());
    }
    /// Waiting candidacies are removed first, or they would get what the same worker gives up.
    Elected remove(Is unwanted) {
        Elected elected;
        for (auto& [role, line] : lines_) {
            remove_waiting(line, unwanted);
            if (!unwanted(line.front())) continue;
            line.pop_front();
            if (!line.empty()) elected.push_back(line.front());
        }
        std::erase_if(lines_, [](const auto& entry) { return entry.second.empty(); });
        return elected;
    }

    std::map<std::string, Line> lines_; // none is empty
};

} // namespace cohort::detail

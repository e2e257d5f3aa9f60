// SPDX-License-Identifier: MIT
// LeaderElection: which worker has which role, and who is next, as a machine without clock or process (layer 1).
#pragma once

#include <cohort/error.hpp>
#include <cohort/event.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace cohort::detail {

/// One wish of one worker for a role: it may have several.
struct Candidacy {
    WorkerId worker = 0;
    std::uint32_t request = 0;

    friend bool operator==(const Candidacy&, const Candidacy&) = default;
};

/// In each line the first has the role. Never two at a time: the next one gets it when the first has said that it gives
/// it up, or its process has ended. The functions return those who have a role from now on.
class LeaderElection {
public:
    using Elected = std::vector<Candidacy>;

    /// For a worker that asks for ever more.
    static constexpr unsigned most_of_one_worker = 256;

    /// Errc::queue_full: this worker has asked for too many.
    std::error_code campaign(const std::string& role, Candidacy candidacy, Elected& elected) {
        unsigned& count = counts_[candidacy.worker];
        if (count == most_of_one_worker) return Errc::queue_full;
        ++count;
        auto& line = lines_[role];
        line.push_back(candidacy);
        if (line.size() == 1) elected.push_back(candidacy);
        return {};
    }
    /// Gives up a role, or waiting for it.
    Elected resign(Candidacy candidacy) {
        return remove([&](const Candidacy& one, bool) { return one == candidacy; });
    }
    /// The worker is to leave: it gets nothing more, and keeps what it has.
    void withdraw(WorkerId worker) {
        remove([=](const Candidacy& one, bool is_first) { return one.worker == worker && !is_first; });
    }
    /// The worker's process has ended.
    Elected leave(WorkerId worker) {
        Elected elected = remove([=](const Candidacy& one, bool) { return one.worker == worker; });
        counts_.erase(worker);
        return elected;
    }

    std::optional<WorkerId> holder(const std::string& role) const {
        const auto line = lines_.find(role);
        return line == lines_.end() ? std::nullopt : std::optional(line->second.front().worker);
    }

private:
    using Line = std::deque<Candidacy>; // never empty

    template <class IsUnwanted>
    Elected remove(IsUnwanted is_unwanted) {
        Elected elected;
        for (auto line = lines_.begin(); line != lines_.end();) {
            const bool vacant = shorten(line->second, is_unwanted);
            if (vacant && !line->second.empty()) elected.push_back(line->second.front());
            line = line->second.empty() ? lines_.erase(line) : std::next(line);
        }
        return elected;
    }
    /// True: the first is another one now.
    template <class IsUnwanted>
    bool shorten(Line& line, IsUnwanted is_unwanted) {
        const Candidacy first = line.front();
        std::erase_if(line, [&](const Candidacy& one) {
            const bool unwanted = is_unwanted(one, one == first);
            if (unwanted) --counts_[one.worker];
            return unwanted;
        });
        return line.empty() || line.front() != first;
    }

    std::map<std::string, Line> lines_;
    std::map<WorkerId, unsigned> counts_;
};

} // namespace cohort::detail

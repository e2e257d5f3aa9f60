// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/leader_election.hpp>

#include <doctest/doctest.h>

#include "support/process.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace cohort;
using namespace cohort::detail;

namespace {

using Elected = LeaderElection::Elected;

Elected campaign(LeaderElection& elections, const std::string& role, WorkerId worker, std::uint32_t request = 1) {
    Elected elected;
    CHECK_FALSE(elections.campaign(role, {worker, request}, elected));
    return elected;
}

TEST_CASE("the first who asks has the role, the others follow in the order of asking") {
    LeaderElection elections;
    CHECK(campaign(elections, "cron", 3) == Elected{{3, 1}});
    CHECK(campaign(elections, "cron", 1).empty());
    CHECK(campaign(elections, "cron", 2).empty());
    CHECK(campaign(elections, "mail", 2) == Elected{{2, 1}}); // another role
    CHECK(elections.holder("cron") == 3);
    CHECK(elections.resign({3, 1}) == Elected{{1, 1}});
    CHECK(elections.leave(1) == Elected{{2, 1}});
    CHECK(elections.leave(2).empty());
    CHECK_FALSE(elections.holder("cron"));
    CHECK_FALSE(elections.holder("mail"));
}

TEST_CASE("one worker may ask several times, and gives each up by itself") {
    LeaderElection elections;
    CHECK(campaign(elections, "cron", 1, 10) == Elected{{1, 10}});
    CHECK(campaign(elections, "cron", 1, 11).empty());
    CHECK(campaign(elections, "mail", 1, 12) == Elected{{1, 12}});
    CHECK(elections.resign({1, 10}) == Elected{{1, 11}});
    CHECK(elections.resign({1, 10}).empty()); // again
    CHECK(elections.resign({2, 11}).empty()); // somebody else's
    CHECK(elections.holder("cron") == 1);
    CHECK(elections.leave(1).empty());
}

TEST_CASE("a wish that is said twice, for one role or for two, is given up whole") {
    LeaderElection elections;
    CHECK(campaign(elections, "cron", 1, 7) == Elected{{1, 7}});
    CHECK(campaign(elections, "cron", 1, 7).empty());
    CHECK(campaign(elections, "cron", 2, 7).empty());
    CHECK(campaign(elections, "cron", 1, 7).empty());
    CHECK(campaign(elections, "mail", 1, 7) == Elected{{1, 7}});
    CHECK(campaign(elections, "mail", 3, 7).empty());
    CHECK(elections.resign({1, 7}) == Elected{{2, 7}, {3, 7}});
    CHECK(elections.resign({1, 7}).empty());
    CHECK(elections.leave(1).empty());
    CHECK(elections.holder("cron") == 2);
    CHECK(elections.holder("mail") == 3);
}

TEST_CASE("who gives up waiting changes nothing for the one that has the role") {
    LeaderElection elections;
    campaign(elections, "cron", 1);
    campaign(elections, "cron", 2);
    campaign(elections, "cron", 3);
    CHECK(elections.resign({2, 1}).empty());
    CHECK(elections.resign({1, 1}) == Elected{{3, 1}});
}

TEST_CASE("who is to leave keeps what it has and gets nothing more") {
    LeaderElection elections;
    campaign(elections, "cron", 1);
    campaign(elections, "mail", 2);
    campaign(elections, "mail", 1);
    campaign(elections, "cron", 3);
    elections.withdraw(1);
    CHECK(elections.holder("cron") == 1);
    CHECK(elections.resign({2, 1}).empty()); // the other one in the line has withdrawn
    CHECK_FALSE(elections.holder("mail"));
    CHECK(elections.leave(1) == Elected{{3, 1}});
}

TEST_CASE("a worker that asks for ever more is refused, and may ask again when it has given some up") {
    LeaderElection elections;
    for (std::uint32_t i = 0; i < LeaderElection::most_of_one_worker; ++i) campaign(elections, "cron", 1, i);
    Elected elected;
    CHECK(elections.campaign("mail", {1, 9999}, elected) == Errc::queue_full);
    CHECK(elected.empty());
    CHECK(campaign(elections, "mail", 2).size() == 1);
    elections.resign({1, 5});
    CHECK(campaign(elections, "cron", 1, 9999).empty());
}

/// In which order several roles are given away is nobody's concern.
Elected sorted(Elected elected) {
    std::ranges::sort(elected, {}, &Candidacy::request);
    return elected;
}

TEST_CASE("whatever happens, a role has one holder, and nobody who waits is forgotten") {
    std::minstd_rand random(5);
    LeaderElection elections;
    std::map<std::string, std::vector<Candidacy>> lines; // as they should be
    std::uint32_t request = 0;
    const auto take_out = [&](auto is_unwanted) {
        Elected expected;
        for (auto& [role, line] : lines) {
            if (line.empty()) continue;
            const Candidacy first = line.front();
            std::erase_if(line, [&](const Candidacy& one) { return is_unwanted(one, one == first); });
            if (!line.empty() && line.front() != first) expected.push_back(line.front());
        }
        return expected;
    };
    for (int step = 0; step < 5000; ++step) {
        const auto worker = static_cast<WorkerId>(random() % 5);
        const std::string role(1, static_cast<char>('a' + random() % 3));
        auto& line = lines[role];
        switch (random() % 6) {
            case 0:
                CHECK(sorted(elections.leave(worker)) ==
                      sorted(take_out([=](auto& one, bool) { return one.worker == worker; })));
                break;
            case 1:
                elections.withdraw(worker);
                take_out([=](auto& one, bool first) { return one.worker == worker && !first; });
                break;
            case 2: {
                if (line.empty()) break;
                const Candidacy gone = line[random() % line.size()];
                CHECK(elections.resign(gone) == take_out([=](auto& one, bool) { return one == gone; }));
                break;
            }
            default: {
                line.push_back({worker, ++request});
                CHECK(campaign(elections, role, worker, request).size() == (line.size() == 1 ? 1 : 0));
            }
        }
        for (const auto& [name, expected] : lines)
            CHECK(elections.holder(name) == (expected.empty() ? std::nullopt : std::optional(expected.front().worker)));
    }
}

TEST_CASE("long names of roles that differ at their ends cost little") {
    LeaderElection elections;
    const std::string name(8'000, 'x');
    for (unsigned i = 0; i != LeaderElection::most_of_one_worker; ++i)
        campaign(elections, name + std::to_string(i), 1, i);
    const auto begin = test::cpu_time();
    elections.leave(1);
    CHECK(test::cpu_time() - begin < std::chrono::milliseconds(10));
}

} // namespace

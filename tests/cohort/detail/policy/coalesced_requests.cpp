// SPDX-License-Identifier: MIT
// Which run serves which request.
#include <cohort/detail/policy/coalesced_requests.hpp>

#include <doctest/doctest.h>

using cohort::ReloadReport;
using cohort::detail::CoalescedRequests;

TEST_CASE("a run serves the requests that came before it began, and no other") {
    CoalescedRequests requests;
    const auto first = requests.add();
    const auto run = requests.begin();
    CHECK_FALSE(requests.is_served(first));
    const auto second = requests.add();
    const auto third = requests.add();
    requests.end(run, ReloadReport{.replaced = 1});
    CHECK(requests.is_served(first));
    CHECK_FALSE(requests.is_served(second));
    CHECK_FALSE(requests.is_served(third));
    const auto next_run = requests.begin();
    const auto fourth = requests.add();
    requests.end(next_run, ReloadReport{.replaced = 2});
    CHECK(requests.is_served(second));
    CHECK(requests.is_served(third));
    CHECK_FALSE(requests.is_served(fourth));
    CHECK(requests.report().replaced == 2);
}

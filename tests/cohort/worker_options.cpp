// SPDX-License-Identifier: MIT
#include <cohort/worker_options.hpp>

#include <doctest/doctest.h>

TEST_CASE("without any choice a worker has what its master has") {
    const cohort::WorkerOptions options;
    CHECK(options.env.empty());
    CHECK_FALSE(options.keep_env);
    CHECK(options.cwd.empty());
    CHECK(options.root.empty());
    CHECK_FALSE(options.cgroup);
    CHECK_FALSE(options.uid);
    CHECK_FALSE(options.gid);
    CHECK(options.pinning == cohort::Pinning::none);
    CHECK(options.dumpable);
}

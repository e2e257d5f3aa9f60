// SPDX-License-Identifier: MIT
// How the processes of a cluster are called: Options::title (layer 4).
#pragma once

#include <cohort/detail/worker/identity.hpp>

#include <string>

namespace cohort::detail {

/// "cohort: worker 3 TITLE, generation 2, leaving".
std::string title_of(const std::string& title, const Identity& worker, bool leaving);
std::string title_of_master(const std::string& title, bool leaving);

/// Nothing changes when `title` is empty.
void show_as_worker(const std::string& title, const Identity& worker, bool leaving);
void show_as_master(const std::string& title, bool leaving);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/worker_title.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of worker_title.hpp (layer 4).
#pragma once

#include <cohort/detail/worker/worker_title.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/process_title.hpp>

namespace cohort::detail {

COHORT_DECL std::string title_of(const std::string& title, const Identity& worker, bool leaving) {
    std::string whole = "cohort: worker " + std::to_string(worker.id) + " " + title;
    if (worker.generation != 0) whole += ", generation " + std::to_string(worker.generation);
    return leaving ? whole + ", leaving" : whole;
}

COHORT_DECL std::string title_of_master(const std::string& title, bool leaving) {
    return "cohort: master " + title + (leaving ? ", leaving" : "");
}

COHORT_DECL void show_as_worker(const std::string& title, const Identity& worker, bool leaving) {
    if (title.empty()) return;
    set_process_title(title_of(title, worker, leaving), "worker " + std::to_string(worker.id) + " " + title);
}

COHORT_DECL void show_as_master(const std::string& title, bool leaving) {
    if (!title.empty()) set_process_title(title_of_master(title, leaving), "master " + title);
}

} // namespace cohort::detail

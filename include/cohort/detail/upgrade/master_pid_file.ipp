// SPDX-License-Identifier: MIT
// The bodies of master_pid_file.hpp (layer 4).
#pragma once

#include <cohort/detail/upgrade/master_pid_file.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>

#include <utility>

namespace cohort::detail {

COHORT_DECL void MasterPidFile::open(const std::string& path, TransferredFile inherited) {
    const std::string whole = absolute_path(path);
    PidFile former(inherited.path, std::move(inherited.descriptor));
    (former.path() == whole ? own_ : former_) = std::move(former);
    if (!whole.empty() && own_.descriptor() < 0) own_ = PidFile(whole);
}

COHORT_DECL void MasterPidFile::take_over() noexcept {
    try {
        own_.take_over();
        former_.take_over();
    } catch (...) { // the service goes on without
        log_line(LogLevel::error, exception_text());
    }
    former_ = {};
}

} // namespace cohort::detail

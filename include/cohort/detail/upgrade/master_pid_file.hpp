// SPDX-License-Identifier: MIT
// MasterPidFile: the pid file of a service, from one master to the next (layer 4).
#pragma once

#include <cohort/detail/system/pid_file.hpp>
#include <cohort/detail/upgrade/old_master.hpp>

#include <string>

namespace cohort::detail {

/// Beside this master's own, until it is the service, that of the master before, if that is another file.
class MasterPidFile {
public:
    /// `path`: empty: there is to be none. `inherited`: what the master before has. Throws what PidFile does.
    void open(const std::string& path, TransferredFile inherited);
    /// This master is the service from now on. May be called again.
    void take_over() noexcept;
    /// Another master takes it over.
    void leave() noexcept { own_.leave(); }

    const std::string& path() const noexcept { return own_.path(); }
    int descriptor() const noexcept { return own_.descriptor(); }

private:
    PidFile own_;
    PidFile former_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/upgrade/master_pid_file.ipp>
#endif

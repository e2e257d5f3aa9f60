// SPDX-License-Identifier: MIT
// The bodies of worker_record.hpp (layer 4).
#pragma once

#include <cohort/detail/process/worker_record.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

namespace cohort::detail {

COHORT_DECL WorkerRecord::WorkerRecord(const asio::any_io_executor& executor, Identity identity, Launched launched,
                                       std::shared_ptr<MessageStream> its_messages)
    : DispatchTarget{identity.id, identity.slot, identity.cell,
                     share<MasterLink>(executor, std::move(launched.control)), std::move(identity.inherited)},
      pid(launched.process.pid),
      pidfd(executor, std::move(launched.process.pidfd)),
      messages(std::move(its_messages)),
      drained(executor),
      grace(executor) {}

COHORT_DECL void WorkerRecord::end_lifetime() {
    if (!is_over()) at_end_of_lifetime(*this);
}

COHORT_DECL void WorkerRecord::kill() noexcept {
    if (!abandoned) send_signal(pidfd.get(), SIGKILL);
}

} // namespace cohort::detail

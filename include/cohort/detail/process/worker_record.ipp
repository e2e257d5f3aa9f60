// SPDX-License-Identifier: MIT
// The bodies of worker_record.hpp (layer 4).
#pragma once

#include <cohort/detail/process/worker_record.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL WorkerRecord::WorkerRecord(const asio::any_io_executor& executor, Identity identity, Launched launched,
                                       std::shared_ptr<MessageStream> its_messages)
    : DispatchTarget{identity.id, identity.slot, identity.cell,
                     std::make_shared<MasterLink>(executor, std::move(launched.control)),
                     std::move(identity.inherited)},
      pid(launched.process.pid),
      pidfd(executor, std::move(launched.process.pidfd)),
      messages(std::move(its_messages)),
      drained(executor),
      grace(executor) {}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// SlotReplacer: workers beside those that they are to replace (layer 4).
#pragma once

#include <cohort/detail/process/slots.hpp>
#include <cohort/detail/reload/reloader.hpp>

#include <functional>
#include <utility>
#include <vector>

namespace cohort::detail {

/// Does with the slots and their workers what a Reloader says.
class SlotReplacer {
public:
    struct Owner {
        std::function<WorkerId(unsigned slot)> start;
        std::function<void(WorkerRecord&)> ask_to_leave;
    };

    SlotReplacer(const Options& options, const WorkerRecords& records, Slots& slots, Owner owner)
        : options_(options), records_(records), slots_(slots), owner_(std::move(owner)) {}

    Reloader::Actions actions() {
        return {[this](unsigned slot) { return start(slot); }, [this](WorkerId worker) { take_over(worker); },
                [this](WorkerId worker) { end(worker); }, [this](WorkerId worker) { reject(worker); }};
    }
    /// The slots whose workers can be replaced.
    std::vector<unsigned> replaceable() const;

private:
    WorkerId start(unsigned slot);
    void take_over(WorkerId successor);
    void end(WorkerId successor);
    void reject(WorkerId successor);
    void limit_leaving(unsigned slot);

    const Options& options_;
    const WorkerRecords& records_;
    Slots& slots_;
    Owner owner_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/reload/slot_replacer.ipp>
#endif

// SPDX-License-Identifier: MIT
// SlotReplacer: workers beside those that they are to replace (layer 4).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/process/slots.hpp>
#include <cohort/detail/reload/reloader.hpp>

#include <utility>
#include <vector>

namespace cohort::detail {

/// Does with the slots and their workers what a Reloader says.
class SlotReplacer final : public Reloader::Workers {
public:
    class Owner {
    public:
        virtual WorkerId start(unsigned slot) = 0;
        virtual void ask_to_leave(WorkerRecord& record) = 0;
        /// The slot is left to its restart policy again.
        virtual void refill(unsigned slot) = 0;

    protected:
        ~Owner() = default;
    };

    SlotReplacer(const Options& options, const WorkerRecords& records, Slots& slots, Owner& owner)
        : options_(options), records_(records), slots_(slots), owner_(owner) {}

    COHORT_DECL std::vector<unsigned> replaceable() const override;
    COHORT_DECL bool make_room(unsigned slot) override;
    bool has_worker(unsigned slot) const override { return slots_[slot].current != 0; }
    void leave_alone(unsigned slot) override { owner_.refill(slot); }
    COHORT_DECL WorkerId start_successor(unsigned slot) override;
    COHORT_DECL void take_over(WorkerId successor) override;
    COHORT_DECL void end(WorkerId successor) override;
    COHORT_DECL void reject(WorkerId successor) override;

private:
    void limit_leaving(unsigned slot);

    const Options& options_;
    const WorkerRecords& records_;
    Slots& slots_;
    Owner& owner_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/reload/slot_replacer.ipp>
#endif

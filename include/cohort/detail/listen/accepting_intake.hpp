// SPDX-License-Identifier: MIT
// AcceptingIntake: a worker that accepts by itself, on a listening descriptor of its own (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/listen/accept_loop.hpp>
#include <cohort/detail/listen/delivery_intake.hpp>

#include <optional>

namespace cohort::detail {

/// Most connections come from its listener, some from the master.
class AcceptingIntake : public DeliveryIntake {
public:
    explicit AcceptingIntake(IntakeContext its_context)
        : DeliveryIntake(std::move(its_context)), listener_(context().executor, std::move(context().descriptor)) {}

    COHORT_DECL Task<std::optional<Socket>> accept() override;
    void stop(bool hand_over) override {
        DeliveryIntake::stop(hand_over);
        listener_.close();
    }
    void close() override {
        DeliveryIntake::close();
        listener_.close();
    }

protected:
    int listener() const noexcept { return listener_.get(); }
    /// Accepts one connection. Empty, with errno set, when the kernel's queue has none.
    UniqueFd accept_next();

private:
    static constexpr int most_tries = 64; // connections in a row that had failed before they were accepted

    std::optional<Socket> accept_own(int& error);
    void watch();
    void stop_watching();

    AsyncFd listener_;
    bool watching_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/accepting_intake.ipp>
#endif

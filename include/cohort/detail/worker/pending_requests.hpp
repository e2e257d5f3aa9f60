// SPDX-License-Identifier: MIT
// PendingRequests: what a worker has asked its master for, until the answers are here (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/control/links.hpp>
#include <cohort/mode.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace cohort::detail {

/// All are of one kind. An answer finds its request by the number.
template <class Answer>
class PendingRequests {
public:
    /// `changed` is notified when the link has ended.
    PendingRequests(std::shared_ptr<WorkerLink> link, Notifier& changed) : link_(std::move(link)), changed_(changed) {}

    /// One request, for as long as its answer is waited for.
    class Request {
    public:
        explicit Request(PendingRequests& all) : all_(all), number_(++all.last_), answer_(all.open_[number_]) {}
        Request(const Request&) = delete;
        Request& operator=(const Request&) = delete;
        ~Request() { all_.open_.erase(number_); }

        std::uint32_t number() const noexcept { return number_; }
        /// Throws Errc::closed: there will be none.
        Task<> wait() {
            while (!answer_ && !all_.link_->ended()) co_await all_.changed_.wait();
            if (!answer_) throw std::system_error(make_error_code(Errc::closed));
        }
        /// After wait().
        Answer& answer() noexcept { return *answer_; }

    private:
        PendingRequests& all_;
        std::uint32_t number_;
        std::optional<Answer>& answer_;
    };

    /// Completes the request of this number. An answer to one that is not waited for any more is dropped.
    void answer(std::uint32_t number, Answer answer) {
        const auto found = open_.find(number);
        if (found == open_.end()) return;
        found->second.emplace(std::move(answer));
        changed_.notify_all();
    }
    /// Ends all waits.
    void answer_all(const Answer& answer) {
        for (auto& [number, own] : open_)
            if (!own) own.emplace(answer);
        changed_.notify_all();
    }

private:
    std::shared_ptr<WorkerLink> link_;
    Notifier& changed_;
    std::map<std::uint32_t, std::optional<Answer>> open_;
    std::uint32_t last_ = 0;
};

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// PendingRequests: what a worker has asked its master for, until the answers are here (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/control/links.hpp>
#include <cohort/mode.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace cohort::detail {

/// What requests have in common, whatever their answers are.
class PendingRequestsBase {
public:
    /// `changed` is notified when the link has ended.
    PendingRequestsBase(std::shared_ptr<WorkerLink> link, Notifier& changed)
        : link_(std::move(link)), changed_(changed) {}

protected:
    class RequestBase {
    public:
        explicit RequestBase(PendingRequestsBase& all) : all_(all), number_(++all.last_) { all.open_.push_back(this); }
        RequestBase(const RequestBase&) = delete;
        RequestBase& operator=(const RequestBase&) = delete;

        std::uint32_t number() const noexcept { return number_; }
        /// Throws Errc::closed: there will be no answer.
        Task<> wait();

    protected:
        ~RequestBase() { std::erase(all_.open_, this); }

        bool answered_ = false;

    private:
        friend PendingRequestsBase;

        PendingRequestsBase& all_;
        std::uint32_t number_;
    };

    /// Null: nobody waits for it any more.
    RequestBase* find(std::uint32_t number) const noexcept;
    const std::vector<RequestBase*>& open() const noexcept { return open_; }
    void wake() { changed_.notify_all(); }

private:
    std::shared_ptr<WorkerLink> link_;
    Notifier& changed_;
    std::vector<RequestBase*> open_;
    std::uint32_t last_ = 0;
};

/// All are of one kind. An answer finds its request by the number.
template <class Answer>
class PendingRequests : private PendingRequestsBase {
public:
    using PendingRequestsBase::PendingRequestsBase;

    /// One request, for as long as its answer is waited for.
    class Request : public RequestBase {
    public:
        explicit Request(PendingRequests& all) : RequestBase(all) {}

        /// After wait().
        Answer& answer() noexcept { return *answer_; }

    private:
        friend PendingRequests;

        void take(Answer answer) {
            answer_.emplace(std::move(answer));
            this->answered_ = true;
        }

        std::optional<Answer> answer_;
    };

    /// Completes the request of this number. An answer to one that is not waited for any more is dropped.
    void answer(std::uint32_t number, Answer answer) {
        auto* const request = static_cast<Request*>(find(number));
        if (request == nullptr) return;
        request->take(std::move(answer));
        wake();
    }
    /// Ends all waits.
    void answer_all(const Answer& answer) {
        for (auto* const one : open())
            if (auto* const request = static_cast<Request*>(one); !request->answer_) request->take(answer);
        wake();
    }
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/pending_requests.ipp>
#endif

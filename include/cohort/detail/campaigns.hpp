// SPDX-License-Identifier: MIT
// Campaigns: a worker's side of asking its master for roles (layer 3).
#pragma once

#include <cohort/detail/notifier.hpp>
#include <cohort/leadership.hpp>
#include <cohort/mode.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace cohort::detail {

class Campaigns {
public:
    /// `changed` is notified when the link has ended.
    Campaigns(std::shared_ptr<WorkerLink> link, Notifier& changed) : link_(std::move(link)), changed_(changed) {}

    /// Waits for the role.
    Task<Leadership> lead(std::string role);
    void answer(const Elected& message) {
        const auto found = requests_.find(message.request);
        if (found == requests_.end()) return; // the caller was cancelled, and the master knows
        found->second = message;
        changed_.notify_all();
    }
    /// This worker is to leave: whoever waits is told.
    void stop() {
        stopping_ = true;
        changed_.notify_all();
    }

private:
    static constexpr std::size_t longest_role = 1024;

    std::shared_ptr<WorkerLink> link_;
    Notifier& changed_;
    std::map<std::uint32_t, std::optional<Elected>> requests_;
    std::uint32_t last_request_ = 0;
    bool stopping_ = false;
};

inline Task<Leadership> Campaigns::lead(std::string role) {
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    if (role.size() > longest_role) throw std::system_error(make_error_code(Errc::message_too_large), "role");
    const std::uint32_t request = ++last_request_;
    auto& answer = requests_[request];
    const auto forget = [this](const std::uint32_t* number) { requests_.erase(*number); };
    const std::unique_ptr<const std::uint32_t, decltype(forget)> guard(&request, forget);
    // Whatever happens to the wait, the master hears of its end.
    Leadership leadership(role, [link = link_, request] { link->send(Resign{request}); });
    link_->send(Campaign{request, role});
    while (!answer && !stopping_ && !link_->ended()) co_await changed_.wait();
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    if (!answer) throw std::system_error(make_error_code(Errc::closed));
    if (const auto error = error_of(*answer)) throw std::system_error(error, "role " + role);
    co_return leadership;
}

} // namespace cohort::detail

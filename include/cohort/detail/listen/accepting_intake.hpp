// SPDX-License-Identifier: MIT
// AcceptingIntake: a worker that accepts by itself, on a listening descriptor of its own (layer 3).
#pragma once

#include <cohort/detail/listen/accept_loop.hpp>
#include <cohort/detail/listen/delivery_intake.hpp>

#include <memory>
#include <optional>

namespace cohort::detail {

/// Connections come from its listener, and at times from the master.
class AcceptingIntake : public DeliveryIntake {
public:
    explicit AcceptingIntake(IntakeContext its_context)
        : DeliveryIntake(std::move(its_context)), listener_(context().executor, std::move(context().descriptor)) {}

    Task<std::optional<Socket>> accept() override;
    void stop(bool hand_over) override {
        DeliveryIntake::stop(hand_over);
        listener_.close();
    }
    void close() override {
        DeliveryIntake::close();
        listener_.close();
    }

protected:
    /// From the kernel's queue; empty with errno when there is none.
    UniqueFd accept_next();

private:
    std::optional<Socket> accept_own(int& error);
    void watch();

    AsyncFd listener_;
    bool watching_ = false;
};

inline UniqueFd AcceptingIntake::accept_next() {
    for (;;) {
        UniqueFd connection(System::current().accept(listener_.get()));
        if (connection || !concerns_one_connection(errno)) return connection;
    }
}

/// Hands its caller the connection itself, or says why there is none.
inline std::optional<Socket> AcceptingIntake::accept_own(int& error) {
    error = 0;
    if (!listener_.is_open()) return std::nullopt;
    if (UniqueFd connection = accept_next()) return to_socket(std::move(connection), enter());
    error = errno;
    return std::nullopt;
}

/// Wakes accept() when the listener has something, as the arrival of a handed-over connection does.
inline void AcceptingIntake::watch() {
    if (watching_ || !listener_.is_open()) return;
    watching_ = true;
    listener_.async_readable([keep = shared_from_this(), this](std::error_code) {
        watching_ = false;
        notify();
    });
}

inline Task<std::optional<Socket>> AcceptingIntake::accept() {
    const auto keep = shared_from_this();
    for (;;) {
        if (auto socket = take()) co_return socket;
        if (is_finished()) co_return std::nullopt;
        const bool full = is_full();
        int error = 0;
        if (!full) {
            if (auto socket = accept_own(error)) co_return socket;
        }
        if (error != 0 && !would_block(error)) {
            // Not shared: another coroutine may rest, too.
            asio::steady_timer rest(context().executor, accept_rest);
            co_await rest.async_wait(asio::use_awaitable);
            continue;
        }
        if (!full) watch();
        co_await wait();
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
    }
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of delivery_intake.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/delivery_intake.hpp>

#include <cohort/detail/control/shared_page.hpp>

#include <cohort/detail/config.hpp>

#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

namespace cohort::detail {

COHORT_DECL void DeliveryIntake::stop(bool hand_over) {
    stopped_ = true;
    hands_over_ = hand_over;
    arrival_.notify_all();
}

COHORT_DECL int protocol_family(const Endpoint& endpoint) noexcept {
    if (endpoint.is_unix()) return AF_UNIX;
    return endpoint.host().find(':') == std::string::npos ? AF_INET : AF_INET6;
}

COHORT_DECL Socket DeliveryIntake::to_socket(TransferredConnection passage, CountedConnection counted) {
    const int family = protocol_family(context_.endpoint);
    Socket::Base socket(context_.executor);
    std::error_code error;
    socket.assign(asio::generic::stream_protocol(family, family == AF_UNIX ? 0 : IPPROTO_TCP), passage.connection.get(),
                  error);
    if (error) throw std::system_error(error, "assign");
    [[maybe_unused]] const int owned_by_socket = passage.connection.release();
    context_.cell.accepted.fetch_add(1, std::memory_order_relaxed);
    context_.connection_count.count();
    return Socket(std::move(socket), std::move(counted), std::move(passage.state));
}

COHORT_DECL void DeliveryIntake::deliver(std::uint64_t first, std::uint32_t count,
                                         std::vector<TransferredConnection> connections) {
    settle_to(context_.cell.taken.load(std::memory_order_seq_cst));
    const auto arrived = static_cast<std::uint32_t>(connections.size());
    for (std::uint32_t i = 0; i < count; ++i)
        if (first + i >= next_) queue_.push_back({i < arrived ? std::move(connections[i]) : TransferredConnection()});
    if (arrived < count) context_.link->send(Lost{context_.listener, first + arrived, count - arrived});
    if (closed_)
        close();
    else
        arrival_.notify_all();
}

COHORT_DECL void DeliveryIntake::forget(std::uint64_t first, std::uint32_t count) {
    for (std::uint64_t number = first; number < first + count; ++number)
        if (number >= next_ && number - next_ < queue_.size())
            queue_[static_cast<std::size_t>(number - next_)].forgotten = true;
    if (closed_) return close();
    skip_forgotten();
    arrival_.notify_all();
}

COHORT_DECL void DeliveryIntake::skip_forgotten() {
    while (!queue_.empty() && queue_.front().forgotten) settle();
}

/// Takes the front off the queue. True: it is this process's alone from here on. False: the master has waited too long
/// and given it to another worker, with others behind it.
COHORT_DECL bool DeliveryIntake::settle() {
    std::uint64_t settled = next_;
    const bool ours = context_.cell.taken.compare_exchange_strong(settled, next_ + 1, std::memory_order_seq_cst);
    if (ours) {
        ++next_;
        queue_.pop_front();
        tell_if_wanted();
    } else {
        settle_to(settled);
    }
    return ours;
}

/// Connections before this number have gone to others; reporting that shows the master that this worker is alive.
COHORT_DECL void DeliveryIntake::settle_to(std::uint64_t settled) {
    if (settled <= next_) return;
    for (; next_ < settled; ++next_)
        if (!queue_.empty()) queue_.pop_front();
    context_.link->send(Took{context_.listener});
}

COHORT_DECL void DeliveryIntake::tell_if_wanted() {
    if (context_.cell.wanted.load(std::memory_order_seq_cst) == 0) return;
    if (context_.cell.wanted.exchange(0, std::memory_order_seq_cst) != 0) context_.link->send(Took{context_.listener});
}

COHORT_DECL void DeliveryIntake::look_again() {
    if (!closed_) tell_if_wanted(); // later the cell may be another listener's
    arrival_.notify_all();
}

COHORT_DECL std::optional<Socket> DeliveryIntake::take() {
    for (;;) {
        skip_forgotten();
        if (closed_ || queue_.empty() || !queue_.front().connection) return std::nullopt;
        if (is_full()) {
            give_all_back();
            return std::nullopt;
        }
        TransferredConnection connection = std::move(queue_.front().connection);
        CountedConnection counted = enter();
        if (settle()) return to_socket(std::move(connection), std::move(counted));
    }
}

COHORT_DECL Task<> DeliveryIntake::let_others_go_on() {
    co_await turn_.let_others_go_on();
    const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
    throw_if_cancelled(cancellation);
}

COHORT_DECL Task<std::optional<Socket>> DeliveryIntake::accept() {
    if (turn_.is_over()) co_await let_others_go_on();
    for (;;) {
        if (auto socket = take()) co_return socket;
        if (is_finished()) co_return std::nullopt;
        co_await wait();
        turn_.begin();
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
    }
}

COHORT_DECL void DeliveryIntake::give_back(TransferredConnection connection, bool was_served) {
    if (!was_served) context_.connection_count.count_refused();
    context_.link->send_with(
        ReturnedConnection{context_.listener, context_.endpoint, was_served, std::move(connection.state)},
        std::move(connection.connection));
}

COHORT_DECL bool DeliveryIntake::hand_over(Socket& socket, std::string state) {
    if (!hands_over() || state.size() > TransferredConnection::max_state) return false;
    give_back({socket.take(), std::move(state)}, true);
    return true;
}

COHORT_DECL void DeliveryIntake::give_all_back() {
    while (!queue_.empty() && (queue_.front().connection || queue_.front().forgotten)) {
        TransferredConnection connection = std::move(queue_.front().connection);
        if (settle() && connection) give_back(std::move(connection));
    }
}

COHORT_DECL void DeliveryIntake::close() {
    closed_ = true;
    give_all_back();
    arrival_.notify_all();
}

} // namespace cohort::detail

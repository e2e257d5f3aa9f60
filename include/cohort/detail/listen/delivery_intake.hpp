// SPDX-License-Identifier: MIT
// DeliveryIntake: the worker's end of a Distributor, a queue of connections that count as taken when they leave it
// (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/mode.hpp>

#include <deque>
#include <optional>

namespace cohort::detail {

/// What the intakes of all modes have in common. Connections leave in the order of their numbers, and only then does
/// the master let go of its copies.
class DeliveryIntake : public Intake {
public:
    explicit DeliveryIntake(IntakeContext context) : context_(std::move(context)), arrival_(context_.executor) {}

    Task<std::optional<Socket>> accept() override;
    void deliver(std::uint64_t first, std::uint32_t count, std::vector<TransferredConnection> connections) override;
    void forget(std::uint64_t first, std::uint32_t count) override;
    void look_again() override;
    void stop(bool hand_over) override {
        stopped_ = true;
        hands_over_ = hand_over;
        arrival_.notify_all();
    }
    void close() override;
    bool stopping() const noexcept override { return closed_ || stopped_; }
    bool hands_over() const noexcept override { return hands_over_ && !context_.link->ended(); }
    bool hand_over(Socket& socket, std::string state) override;
    const Endpoint& endpoint() const noexcept override { return context_.endpoint; }

    /// The next connection that is here, if the worker has room for it.
    std::optional<Socket> take();
    /// No more connections for now: they are for others. A worker that leaves serves what it has.
    bool is_full() const noexcept { return !stopped_ && context_.connection_count.is_full(); }
    /// Nothing is here and nothing more will be taken.
    bool is_finished() const noexcept { return closed_ || (stopped_ && queue_.empty()); }
    /// Until something has changed.
    Task<> wait() { return arrival_.wait(); }
    void notify() { arrival_.notify_all(); }

    IntakeContext& context() noexcept { return context_; }
    /// Counts it.
    Socket to_socket(TransferredConnection connection, CountedConnection counted);
    /// Room for one more connection, which is about to be taken.
    CountedConnection enter() noexcept { return context_.connection_count.enter(); }

private:
    struct Entry {
        TransferredConnection connection; // empty: lost on the way
        bool forgotten = false;
    };

    bool settle();
    void settle_to(std::uint64_t settled);
    void tell_if_wanted();
    void give_back(TransferredConnection connection, bool was_served = false);
    void give_all_back();
    void skip_forgotten();

    IntakeContext context_;
    Notifier arrival_;
    std::deque<Entry> queue_;
    std::uint64_t next_ = 0; // number of the front of the queue; the queue has no gaps
    bool stopped_ = false;
    bool hands_over_ = false;
    bool closed_ = false;
};

inline int protocol_family(const Endpoint& endpoint) noexcept {
    if (endpoint.is_unix()) return AF_UNIX;
    return endpoint.host().find(':') == std::string::npos ? AF_INET : AF_INET6;
}

inline Socket DeliveryIntake::to_socket(TransferredConnection passage, CountedConnection counted) {
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

inline void DeliveryIntake::deliver(std::uint64_t first, std::uint32_t count,
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

inline void DeliveryIntake::forget(std::uint64_t first, std::uint32_t count) {
    for (std::uint64_t number = first; number < first + count; ++number)
        if (number >= next_ && number - next_ < queue_.size())
            queue_[static_cast<std::size_t>(number - next_)].forgotten = true;
    if (closed_) return close();
    skip_forgotten();
    arrival_.notify_all();
}

inline void DeliveryIntake::skip_forgotten() {
    while (!queue_.empty() && queue_.front().forgotten) settle();
}

/// Takes the front off the queue. True: it is this process's alone from here on. False: the master has waited too long
/// and given it to another worker, with others behind it.
inline bool DeliveryIntake::settle() {
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

/// Connections before this number have gone to others; to hear of it shows the master that this worker lives.
inline void DeliveryIntake::settle_to(std::uint64_t settled) {
    if (settled <= next_) return;
    for (; next_ < settled; ++next_)
        if (!queue_.empty()) queue_.pop_front();
    context_.link->send(Took{context_.listener});
}

inline void DeliveryIntake::tell_if_wanted() {
    if (context_.cell.wanted.load(std::memory_order_seq_cst) == 0) return;
    if (context_.cell.wanted.exchange(0, std::memory_order_seq_cst) != 0) context_.link->send(Took{context_.listener});
}

inline void DeliveryIntake::look_again() {
    if (!closed_) tell_if_wanted(); // later the cell may be somebody else's
    arrival_.notify_all();
}

inline std::optional<Socket> DeliveryIntake::take() {
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

inline Task<std::optional<Socket>> DeliveryIntake::accept() {
    for (;;) {
        if (auto socket = take()) co_return socket;
        if (is_finished()) co_return std::nullopt;
        co_await wait();
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
    }
}

inline void DeliveryIntake::give_back(TransferredConnection connection, bool was_served) {
    context_.link->send_with(
        ReturnedConnection{context_.listener, context_.endpoint, was_served, std::move(connection.state)},
        std::move(connection.connection));
}

inline bool DeliveryIntake::hand_over(Socket& socket, std::string state) {
    if (!hands_over() || state.size() > TransferredConnection::max_state) return false;
    give_back({socket.take(), std::move(state)}, true);
    return true;
}

inline void DeliveryIntake::give_all_back() {
    while (!queue_.empty() && (queue_.front().connection || queue_.front().forgotten)) {
        TransferredConnection connection = std::move(queue_.front().connection);
        if (settle() && connection) give_back(std::move(connection));
    }
}

inline void DeliveryIntake::close() {
    closed_ = true;
    give_all_back();
    arrival_.notify_all();
}

} // namespace cohort::detail

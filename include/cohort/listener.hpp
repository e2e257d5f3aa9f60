// SPDX-License-Identifier: MIT
// Listener: what Worker::listen gives, the same in every mode (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/mode.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace cohort {

namespace detail {

struct Departure;

} // namespace detail

/// Chooses Worker::listen(endpoint, exclusive).
struct Exclusive {};
inline constexpr Exclusive exclusive{};

/// The connections of one endpoint that are this worker's share. Satisfies Acceptor.
///
/// It ends when it is closed or destroyed: connections delivered to it but not accepted go to the other workers. When
/// the worker is asked to leave, it ends after the last of them was accepted. An accepted connection belongs to the
/// caller alone; end it by shutdown(2), since the master may hold a copy of its descriptor for some milliseconds.
class Listener {
public:
    /// `departure`, if there is one, outlives it.
    Listener(std::shared_ptr<Intake> intake, std::function<void()> on_close,
             const detail::Departure* departure = nullptr);
    Listener(Listener&& other) noexcept
        : intake_(std::move(other.intake_)),
          on_close_(std::exchange(other.on_close_, nullptr)),
          departure_(other.departure_) {}
    Listener& operator=(Listener&& other) noexcept;
    ~Listener() { close(); }

    /// The next connection; nothing when no more will come. Cancelling loses none.
    [[nodiscard]] Task<std::optional<Socket>> accept();

    void close();

    /// No new connections arrive: accept() gives those already delivered, then nothing.
    bool stopping() const noexcept { return intake_->stopping(); }

    /// Whether this worker leaves while others go on, so that they can take over its open connections.
    bool hands_over() const noexcept { return intake_->hands_over(); }
    /// Hands an open connection to another worker, where accept() yields it with `state`, at most 4096 bytes, as its
    /// Socket::state(): what a protocol must know to continue, such as what it has read but not answered. False, and
    /// the connection stays here, if not hands_over() or `state` is too long. Received bytes not read yet go along;
    /// output must be written before. No operation on the socket may be pending.
    bool hand_over(Socket& socket, std::string state = {}) { return intake_->hand_over(socket, std::move(state)); }

    /// How long connections that cannot be handed over may wait for one more request, with whose answer the client is
    /// told to come back on a new connection: for half of Options::grace when this worker leaves while others go on,
    /// and not at all otherwise. It shrinks as time passes, and at once when the whole cluster is to stop.
    std::chrono::milliseconds patience() const noexcept;

    /// With the real address and port.
    const Endpoint& endpoint() const noexcept { return intake_->endpoint(); }
    std::uint16_t port() const noexcept { return endpoint().port(); }

private:
    std::shared_ptr<Intake> intake_;
    std::function<void()> on_close_;
    const detail::Departure* departure_;
};

static_assert(HandsOver<Listener>);

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/listener.ipp>
#endif

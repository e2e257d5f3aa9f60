// SPDX-License-Identifier: MIT
// Scheduler: which worker gets a connection that the master has accepted (layer 3).
#pragma once

#include <cohort/event.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace cohort {

/// A worker that may get a connection.
struct Candidate {
    WorkerId worker = 0;
    unsigned slot = 0;
    std::uint32_t open = 0; ///< connections it has, of all its listeners
    std::uint32_t sent = 0; ///< connections of this listener that it was sent and has not begun to serve
    std::uint32_t room = 0; ///< how many more it may be sent now

    std::uint32_t load() const noexcept { return open + sent; }
};

/// A connection to be assigned to a worker.
class Arrival {
public:
    Arrival(int descriptor, const Endpoint& listener) noexcept : descriptor_(descriptor), listener_(listener) {}

    /// For getsockopt(2) and the like. Reading would take from the worker what the client has said.
    int descriptor() const noexcept { return descriptor_; }
    /// Where it came in.
    const Endpoint& listener() const noexcept { return listener_; }
    /// Who has connected: address and port. Of a Unix socket's client, its path, if it has one. Costs a system call.
    Endpoint client() const;

private:
    int descriptor_;
    const Endpoint& listener_;
};

/// Chooses one of the workers that listen, by its index; there is at least one. If that one has no room, or there is
/// no such index, the connection waits in the master and is asked about again when something has changed. Each listener
/// of the cluster has a scheduler of its own; it lives in the master, and a call must not block.
template <class S>
concept Scheduler = std::default_initializable<S> &&
                    requires(S& scheduler, const Arrival& connection, std::span<const Candidate> workers) {
                        { scheduler.choose(connection, workers) } -> std::convertible_to<std::size_t>;
                    };

/// The next one that has room.
class InTurn {
public:
    std::size_t choose(const Arrival&, std::span<const Candidate> workers) noexcept;

private:
    std::size_t next_ = 0;
};

/// The one with the fewest connections; among equals, in turn.
class Fewest {
public:
    std::size_t choose(const Arrival&, std::span<const Candidate> workers) noexcept;

private:
    std::size_t next_ = 0;
};

namespace detail {

/// Spreads every bit of the input over the output (the finalizer of SplitMix64; Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014).
constexpr std::uint64_t mix(std::uint64_t value) noexcept {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

/// A type-erased scheduler.
class AnyScheduler {
public:
    virtual ~AnyScheduler() = default;
    virtual std::size_t choose(const Arrival& connection, std::span<const Candidate> workers) = 0;
};

template <Scheduler S>
class ErasedScheduler final : public AnyScheduler {
public:
    std::size_t choose(const Arrival& connection, std::span<const Candidate> workers) override {
        return scheduler_.choose(connection, workers);
    }

private:
    S scheduler_;
};

using MakeScheduler = std::unique_ptr<AnyScheduler> (*)();

template <Scheduler S>
std::unique_ptr<AnyScheduler> make_scheduler() {
    return std::make_unique<ErasedScheduler<S>>();
}

} // namespace detail

/// What tells the clients of ByKey and Sticky apart: connections of equal keys belong together. Called for each
/// connection, in the master; must not block.
template <class K>
concept ConnectionKey = std::default_initializable<K> && std::is_invocable_r_v<std::uint64_t, K&, const Arrival&> &&
                        std::integral<std::invoke_result_t<K&, const Arrival&>>;

/// The same key goes to the same slot, by rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to
/// increase hit rates", 1998): when a slot is added or empty, only the keys that are its own move.
template <class Key>
class ByKey {
    static_assert(ConnectionKey<Key>,
                  "cohort: the key of Sticky and ByKey must be a type that is made without arguments "
                  "and callable as std::uint64_t(const Arrival&)");

public:
    std::size_t choose(const Arrival& connection, std::span<const Candidate> workers) {
        const std::uint64_t key = detail::mix(static_cast<std::uint64_t>(key_(connection)));
        const auto weight = [&](std::size_t index) { return detail::mix(key ^ detail::mix(workers[index].slot)); };
        std::size_t best = 0;
        for (std::size_t i = 1; i < workers.size(); ++i)
            if (weight(i) > weight(best)) best = i;
        return best;
    }

private:
    Key key_;
};

/// The client's address, without its port. Clients of a Unix socket are told apart by their process.
struct ClientAddress {
    std::uint64_t operator()(const Arrival& connection) const noexcept;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/scheduler.ipp>
#endif

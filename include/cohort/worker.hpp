// SPDX-License-Identifier: MIT
// Worker: what the body of a worker process works with (layer 4).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/access.hpp>
#include <cohort/detail/worker/worker_spec.hpp>
#include <cohort/duplex.hpp>
#include <cohort/mode.hpp>
#include <cohort/timeout.hpp>
#include <cohort/worker_base.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace cohort {

/// One worker process, seen from inside. The master makes it; the body gets a reference, which holds until the process
/// ends. The process ends when the body returns: with code 0, with the int it returns, or with 1 and a line on standard
/// error when it throws. What was sent before arrives.
template <class Message, Mode M>
class Worker : public WorkerBase {
public:
    using ToMaster = detail::ToMasterOf<Message>;
    using ToWorker = detail::ToWorkerOf<Message>;
    using Mail = cohort::Mail<ToWorker, ToMaster>;

    Worker(const detail::WorkerSetup& setup, const Options& options, std::vector<std::string> args)
        : WorkerBase(setup, options, detail::Schema::of<ToMaster>(), detail::Schema::of<ToWorker>(), &M::make_intake,
                     std::move(args)),
          channel_(detail::Access::make_channel<Channel<Duplex<ToMaster, ToWorker>>>(messages(), limits())) {}

    /// To the master. See Channel::send: while the master receives nothing it waits, at a stop for the whole grace.
    [[nodiscard]] Task<> send(const ToMaster& message) { return channel_.send(message); }
    Task<> send(ToMaster&&)
        requires detail::unsafe_temporary<ToMaster>
    {
        return detail::refuse_temporary<ToMaster>();
    }
    /// Waits until the master has received it. See Channel::send_acked.
    [[nodiscard]] Task<> send_acked(const ToMaster& message, Timeout timeout = {}) {
        return channel_.send_acked(message, timeout);
    }
    Task<> send_acked(ToMaster&&, Timeout = {})
        requires detail::unsafe_temporary<ToMaster>
    {
        return detail::refuse_temporary<ToMaster>();
    }
    /// Asks the master, and waits for its reply. See Channel::call. A master that stops answers as long as its function
    /// receives; when nobody there has for a second, the call, and a send_acked(), ends with Errc::stopping.
    [[nodiscard]] Task<ToWorker> call(const ToMaster& request, Timeout timeout = {}) {
        return channel_.call(request, timeout);
    }
    Task<ToWorker> call(ToMaster&&, Timeout = {})
        requires detail::unsafe_temporary<ToMaster>
    {
        return detail::refuse_temporary<ToMaster, ToWorker>();
    }
    /// From the master; nothing once it has asked this worker to leave, or is gone. See Channel::receive.
    [[nodiscard]] Task<std::optional<ToWorker>> receive() { return channel_.receive(); }
    /// The same, with the means to reply to a call. See Channel::receive_mail.
    [[nodiscard]] Task<std::optional<Mail>> receive_mail() { return channel_.receive_mail(); }
    /// Answers the master's calls with what `handler`, a `Task<ToMaster>(const ToWorker&)`, gives, until this worker is
    /// to leave. See Channel::serve.
    template <class Handler>
    [[nodiscard]] Task<> serve(Handler handler, std::size_t at_once = 1024) {
        return channel_.serve(std::move(handler), at_once);
    }
    /// A channel of its own to another worker, which gets it from accept_peer() with the same T (for Duplex<A, B> here,
    /// Duplex<B, A> there). The master only introduces them; what they send does not pass through it. It ends with
    /// either worker. Errors: Errc::no_such_worker: none with this id, or it is leaving; Errc::too_many: too many
    /// wait for that one to read already; Errc::closed without a master.
    template <class T, class Via = UnixStream>
    [[nodiscard]] Task<Channel<T, Via>> connect(WorkerId other, ChannelLimits limits = {}) {
        auto socket = co_await connect_peer(other);
        co_return Channel<T, Via>(get_executor(), std::move(socket), limits);
    }
    /// Another worker's channel to this one.
    template <class T, class Via = UnixStream>
    struct Peer {
        WorkerId from = 0;
        Channel<T, Via> channel;
    };
    /// The next worker that wants to talk to this one; nothing once this one is to leave. Up to 256 wait; those that
    /// were not accepted by then see the end of their channels.
    template <class T, class Via = UnixStream>
    [[nodiscard]] Task<std::optional<Peer<T, Via>>> accept_peer(ChannelLimits limits = {}) {
        auto accepted = co_await next_peer();
        if (!accepted) co_return std::nullopt;
        std::optional<Peer<T, Via>> peer;
        peer.emplace(Peer<T, Via>{accepted->from,
                                  Channel<T, Via>::accepted(get_executor(), std::move(accepted->socket), limits)});
        co_return peer;
    }

private:
    Channel<Duplex<ToMaster, ToWorker>> channel_;
};

namespace detail {

template <class Body, class W>
concept WorkerBody = requires(Body& body, W& self) {
    { body(self) } -> std::same_as<Task<>>;
} || requires(Body& body, W& self) {
    { body(self) } -> std::same_as<Task<int>>;
};

/// Wraps a body of either kind for the rest of the library.
template <class W, class Body>
MakeWorker worker_factory(Body body, Options options, std::vector<std::string> args) {
    static_assert(WorkerBody<Body, W>,
                  "cohort: a worker body must be callable as Task<>(App::Worker&) or Task<int>(App::Worker&): a named "
                  "coroutine function is best");
    return [=](const WorkerSetup& setup) {
        // Both live until the process ends, a function object longer than its coroutine; static, so that leak checkers
        // do not report them.
        static W* only = nullptr;
        W& self = *(only = new W(setup, options, args));
        static Body* kept = nullptr;
        Body& own_body = *(kept = new Body(body));
        if constexpr (std::is_same_v<decltype(own_body(self)), Task<int>>)
            return RunningWorker{&Access::core(self), own_body(self)};
        else
            return RunningWorker{&Access::core(self), with_code_0(own_body(self))};
    };
}

} // namespace detail

} // namespace cohort

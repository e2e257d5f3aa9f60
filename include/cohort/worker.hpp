// SPDX-License-Identifier: MIT
// Worker: what the body of a worker process works with (layer 4).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/worker_core.hpp>
#include <cohort/duplex.hpp>
#include <cohort/mode.hpp>

#include <asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

namespace cohort {

/// One worker process, seen from inside. The master makes it; the body gets a reference, which holds until the process
/// ends. The process ends when the body returns: with code 0, with the int it returns, or with 1 and a line on standard
/// error when it throws. What was sent before arrives.
template <class Message, Mode M>
class Worker {
public:
    using ToMaster = detail::ToMasterOf<Message>;
    using ToWorker = detail::ToWorkerOf<Message>;

    Worker(asio::io_context& context, detail::SharedPage& page, const detail::Identity& identity,
           const Options& options, std::vector<std::string> args)
        : core_(context.get_executor(), page, identity, options.grace, &make_intake),
          channel_(context.get_executor(), detail::UniqueFd(identity.channel), {.max_length = options.max_message}),
          context_(context),
          args_(std::move(args)) {
        core_.start();
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Names this process for the master; never used for another.
    WorkerId id() const noexcept { return core_.identity().id; }
    /// 0 to the number of workers less one; the successor of this worker will have it too.
    unsigned slot() const noexcept { return core_.identity().slot; }
    pid_t pid() const noexcept { return ::getpid(); }
    const std::vector<std::string>& args() const noexcept { return args_; }
    asio::io_context& context() noexcept { return context_; }
    asio::any_io_executor get_executor() noexcept { return context_.get_executor(); }

    /// Shares `endpoint` with the other workers that listen on it. Errors: what the system says of the address
    /// (EADDRINUSE, EACCES, ...; trying again later is possible), Errc::stopping, Errc::closed without a master.
    [[nodiscard]] Task<Listener> listen(Endpoint endpoint) { return core_.listen(std::move(endpoint)); }

    /// To the master. See Channel::send.
    [[nodiscard]] Task<> send(const ToMaster& message) { return channel_.send(message); }
    Task<> send(ToMaster&&)
        requires detail::unsafe_temporary<ToMaster>
    {
        return detail::refuse_temporary<ToMaster>();
    }
    /// From the master; nothing once it has asked this worker to leave, or is gone. See Channel::receive.
    [[nodiscard]] Task<std::optional<ToWorker>> receive() { return channel_.receive(); }
    /// The master is there.
    bool connected() const noexcept { return core_.connected(); }

    /// This worker is to leave: the master asked, or is gone, or disconnect() was called. Listeners have ended.
    bool stopping() const noexcept { return core_.stopping(); }
    [[nodiscard]] Task<> until_stopping() { return core_.until_stopping(); }
    /// Leaves by its own decision, in the same way: no successor comes. The body goes on until it returns.
    void disconnect() { core_.leave(); }
    /// Ends the process with this code now, when what was sent is on its way. Does not return.
    [[nodiscard]] Task<> exit(int code);
    /// The same where nothing can be awaited: inside std::exit().
    void flush_now() noexcept { channel_.stream().flush_now(core_.grace()); }

private:
    static std::shared_ptr<Intake> make_intake(IntakeContext context) {
        return std::make_shared<typename M::Intake>(std::move(context));
    }

    detail::WorkerCore core_;
    Channel<Duplex<ToMaster, ToWorker>> channel_;
    asio::io_context& context_;
    std::vector<std::string> args_;
};

template <class Message, Mode M>
Task<> Worker<Message, M>::exit(int code) {
    flush_now(); // blocking is right here: nothing else is to happen any more
    detail::leave_process(code);
    co_return;
}

namespace detail {

template <class Body, class W>
concept WorkerBody = requires(Body& body, W& self) {
    { body(self) } -> std::same_as<Task<>>;
} || requires(Body& body, W& self) {
    { body(self) } -> std::same_as<Task<int>>;
};

/// Erases the difference between bodies with and without an exit code.
template <class W, class Body>
Task<int> run_body(Body body, W& self) {
    if constexpr (std::is_same_v<decltype(body(self)), Task<int>>) {
        co_return co_await body(self);
    } else {
        co_await body(self);
        co_return 0;
    }
}

template <class W, class Body>
std::function<Task<int>(W&)> erase_body(Body body) {
    static_assert(WorkerBody<Body, W>,
                  "cohort: a worker body must be callable as Task<>(App::Worker&) or Task<int>(App::Worker&): a named "
                  "coroutine function is best");
    return [body = std::move(body)](W& self) { return run_body<W, Body>(body, self); };
}

/// A body that was about to listen when the worker was asked to leave has not failed.
template <class W>
bool is_failure(const W& self, const std::exception& error) {
    const auto* const failure = dynamic_cast<const std::system_error*>(&error);
    return failure == nullptr || failure->code() != Errc::stopping || !self.stopping();
}

template <class W>
Task<> live(W& self, std::function<Task<int>(W&)>& body) {
    int code = 0;
    try {
        code = co_await body(self);
    } catch (const std::exception& error) {
        if (is_failure(self, error)) {
            std::cerr << "cohort: worker " << self.id() << ": " << error.what() << std::endl;
            code = 1;
        }
    }
    co_await self.exit(code);
}

/// The life of a worker process from its own event loop to its end.
template <class W>
[[noreturn]] void live_as_worker(SharedPage& page, const Identity& identity, const Options& options,
                                 std::vector<std::string> args, std::function<Task<int>(W&)> body) {
    in_worker = true;
    static W* current = nullptr;
    try {
        die_with_parent(identity.master, options.grace);
        ::signal(SIGPIPE, SIG_IGN); // a broken connection is an error of that connection alone
        // Never destroyed: the process ends inside.
        auto* const context = new asio::io_context(1);
        current = new W(*context, page, identity, options, std::move(args));
        std::atexit([] { current->flush_now(); });
        asio::co_spawn(*context, live(*current, body), asio::detached);
        context->run();
    } catch (const std::exception& error) {
        std::cerr << "cohort: worker " << identity.id << ": " << error.what() << std::endl;
    }
    leave_process(1);
}

/// In a program that was started as a worker (Spawn::exec), its life begins here and this does not return.
template <class W>
void live_if_started_as_worker(const Options& options, const std::vector<std::string>& args,
                               const std::function<Task<int>(W&)>& body) {
    const auto identity = std::exchange(pending_identity, std::nullopt);
    if (!identity) return;
    reset_signals(); // what main() had begun as a master does not apply
    live_as_worker<W>(*new SharedPage(UniqueFd(identity->page)), *identity, options, args, body);
}

} // namespace detail

} // namespace cohort

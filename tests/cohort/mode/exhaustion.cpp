// SPDX-License-Identifier: MIT
// When accept(2) fails, in every mode: nobody crashes, nobody spins, and it goes on by itself.
#include <cohort/mode.hpp>

#include <cohort/detail/system/system.hpp>

#include <cohort/mode/shared_listener.hpp>

#include <asio/io_context.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <atomic>
#include <new>

#include <sys/mman.h>

using namespace test;

namespace {

using QueueApp = Master<Note, SharedListener>;

constexpr int crowd_size = 20;

Endpoint on_loopback(std::uint16_t port) { return Endpoint::tcp("127.0.0.1", port); }

/// An accept(2) that fails when it is told to, here and in every process forked later.
class FailingAccept final : public detail::System {
public:
    ~FailingAccept() override { ::munmap(shared_, sizeof(Shared)); }

    /// From now on it says this and leaves the queue alone; 0: it works.
    void refuse_with(int error) { shared_->refusal = error; }
    /// Says this so many times; each time the connection that it would have given is lost or, for EINTR, kept.
    void fail_next(int error, int times) {
        shared_->failure = error;
        shared_->failures = times;
    }
    int calls() const { return shared_->calls; }

    int accept(int fd) noexcept override {
        ++shared_->calls;
        if (const int error = shared_->refusal) return failed(error);
        const int failure = shared_->failure;
        if (shared_->failures.fetch_sub(1) <= 0) {
            ++shared_->failures;
            return System::accept(fd);
        }
        if (failure == EINTR) return failed(failure);
        const detail::UniqueFd lost(System::accept(fd));
        if (lost) return failed(failure);
        ++shared_->failures; // there was none to lose
        return failed(EAGAIN);
    }

private:
    struct Shared {
        std::atomic<int> refusal{0};
        std::atomic<int> failure{0};
        std::atomic<int> failures{0};
        std::atomic<int> calls{0};
    };

    static int failed(int error) noexcept {
        errno = error;
        return -1;
    }

    void* const memory_ = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Shared* const shared_ = new (memory_) Shared;
    Replace installed_{*this};
};

/// What part of the time this process computes, in percent.
Task<std::int64_t> load_during(asio::io_context& io, std::chrono::milliseconds time) {
    const auto begin = std::chrono::steady_clock::now();
    const auto before = cpu_time();
    co_await pause(io, time);
    co_return 100 * (cpu_time() - before) / (std::chrono::steady_clock::now() - begin);
}

TEST_CASE_TEMPLATE("without descriptors or memory accepting rests, and goes on within a second", A, App, SharedApp,
                   QueueApp) {
    for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
        CAPTURE(error);
        FailingAccept kernel;
        in_master<A>(plain_options(), [&](A& app) -> Task<> {
            for (int i = 0; i < 2; ++i) app.spawn(server);
            const std::uint16_t port = co_await served_port(app, 2);
            kernel.refuse_with(error);
            auto clients = crowd(app, on_loopback(port), crowd_size);
            const int before = kernel.calls();
            co_await pause(app.context(), 120ms);
            CHECK(kernel.calls() > 0);
            CHECK(kernel.calls() - before < 20);
            kernel.refuse_with(0);
            const auto begin = std::chrono::steady_clock::now();
            const auto served = co_await answers(clients);
            CHECK(std::chrono::steady_clock::now() - begin < 1s);
            CHECK_FALSE(served.contains(0));
            CHECK(app.workers().size() == 2);
        });
    }
}

TEST_CASE_TEMPLATE("connections that fail before they are accepted end; the others are served", A, App, SharedApp,
                   QueueApp) {
    for (const int error : {ECONNABORTED, EPROTO, EHOSTUNREACH, EPERM, EINTR}) {
        CAPTURE(error);
        FailingAccept kernel;
        in_master<A>(plain_options(), [&](A& app) -> Task<> {
            for (int i = 0; i < 2; ++i) app.spawn(server);
            const std::uint16_t port = co_await served_port(app, 2);
            kernel.fail_next(error, 3);
            auto clients = crowd(app, on_loopback(port), crowd_size);
            auto served = co_await answers(clients);
            CHECK(served[0] == (error == EINTR ? 0 : 3));
            CHECK(app.workers().size() == 2);
        });
    }
}

/// Serves, and sends back what it is sent; "listen" makes it try another port.
template <class W>
Task<> answer_notes(W& self) {
    while (const auto note = co_await self.receive()) {
        std::string result = "listening";
        try {
            const auto listener = co_await self.listen(any_port());
        } catch (const std::system_error& error) {
            result = error.code().message();
        }
        co_await say(self, result, note->number);
    }
}
template <class W>
Task<> serve_and_answer(W& self) {
    spawn(self.context(), answer_notes(self));
    co_await server(self);
}

template <class A>
Task<std::string> ask_to_listen(A& app, WorkerId worker) {
    co_await tell(app, worker, "listen");
    const auto result = co_await mail(app);
    co_return result.message.text;
}

TEST_CASE_TEMPLATE("a master without free descriptors neither spins nor stops talking, and goes on within a second", A,
                   App, SharedApp, QueueApp) {
#if defined(COHORT_SANITIZED)
    return; // the sanitizer needs descriptors itself: it looks at memory through a pipe
#endif
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(serve_and_answer<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app, 2);
        auto clients = crowd(app, on_loopback(port), crowd_size); // the master cannot accept meanwhile
        {
            const DescriptorLimit full(lowest_free_descriptor());
            const std::int64_t load = co_await load_during(app.context(), 500ms);
            CHECK(load < 10);
            const std::string result = co_await ask_to_listen(app, 1);
            CHECK(result == "Too many open files");
        }
        const auto begin = std::chrono::steady_clock::now();
        const auto served = co_await answers(clients);
        CHECK(std::chrono::steady_clock::now() - begin < 1s);
        CHECK_FALSE(served.contains(0));
        const std::string result = co_await ask_to_listen(app, 1);
        CHECK(result == "listening");
    });
}

template <class W>
Task<> serve_and_close(W& self, Listener listener) {
    co_await serve(self, listener);
}

/// Cannot accept while it measures itself, if that is long enough; then it can.
template <class W>
Task<> serve_after_a_shortage(W& self) {
    auto listener = co_await self.listen(any_port());
    std::int64_t load = 0;
    {
        const DescriptorLimit full(lowest_free_descriptor());
        spawn(self.context(), serve_and_close(self, std::move(listener)));
        co_await say(self, "full");
        load = co_await load_during(self.context(), 500ms);
        if (const auto note = co_await self.receive()) co_await say(self, "load", load);
    }
    co_await self.until_stopping();
}

TEST_CASE_TEMPLATE("a worker without free descriptors costs neither itself nor the master much time", A, App, SharedApp,
                   QueueApp) {
#if defined(COHORT_SANITIZED)
    return;
#endif
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        app.spawn(serve_after_a_shortage<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        co_await mail(app);
        auto clients = crowd(app, on_loopback(port), crowd_size);
        const std::int64_t masters_load = co_await load_during(app.context(), 400ms);
        CHECK(masters_load < 10);
        co_await tell(app, 1, "go on");
        const auto workers_load = co_await mail(app);
        CHECK(workers_load.message.number < 10);
        const auto begin = std::chrono::steady_clock::now();
        const auto served = co_await answers(clients);
        CHECK(std::chrono::steady_clock::now() - begin < 1s);
        CHECK(served == std::map<WorkerId, int>{{1, crowd_size}});
    });
}

TEST_CASE_TEMPLATE("nobody waits for a worker without free descriptors while another has some", A, App, SharedApp,
                   QueueApp) {
#if defined(COHORT_SANITIZED)
    return;
#endif
    Options options = plain_options();
    options.stuck_after = 200ms;
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(serve_after_a_shortage<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        co_await mail(app);
        app.spawn(server);
        co_await served_port(app);
        auto clients = crowd(app, on_loopback(port), crowd_size);
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{2, crowd_size}});
        co_await tell(app, 1, "go on");
        co_await mail(app);
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) != 0);
    });
}

} // namespace

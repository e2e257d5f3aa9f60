// SPDX-License-Identifier: MIT
// What makes a type a mode: anybody may write a third one.
#include <cohort/mode.hpp>

#include <cohort/mode/round_robin.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <doctest/doctest.h>

#include <support/run_for.hpp>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace {

/// Every worker has a port of its own: the master only opens it.
struct PrivatePort {
    class Dispatcher {
    public:
        explicit Dispatcher(cohort::DispatchContext context) : context_(context) {}
        void prepare() {}
        std::vector<int> inherited(unsigned) const { return {}; }
        cohort::Grant open(cohort::DispatchTarget&, const cohort::Endpoint& endpoint) {
            cohort::Grant grant;
            listeners_.push_back(cohort::detail::open_listener(endpoint, false, context_.options.backlog, grant.error));
            if (grant.error) return grant;
            grant.listener = context_.page.acquire();
            grant.endpoint = cohort::detail::local_endpoint(listeners_.back().get());
            grant.descriptor = listeners_.back().get();
            return grant;
        }
        void close(cohort::DispatchTarget&, cohort::detail::ListenerId) {}
        void give(const cohort::Endpoint&, cohort::detail::TransferredConnection) {}
        std::size_t waiting() const { return 0; }
        void lost(cohort::DispatchTarget&, cohort::detail::ListenerId, std::uint64_t, std::uint32_t) {}
        void took(cohort::DispatchTarget&, cohort::detail::ListenerId) {}
        void drain(cohort::DispatchTarget&) {}
        void leave(cohort::DispatchTarget&, bool) {}
        std::vector<cohort::QueueStats> queues() const { return {}; }
        std::vector<cohort::OpenListener> listeners() const { return {}; }
        void stop(bool) { listeners_.clear(); }

    private:
        cohort::DispatchContext context_;
        std::vector<cohort::detail::UniqueFd> listeners_;
    };

    class Intake final : public cohort::Intake {
    public:
        explicit Intake(cohort::IntakeContext context) : endpoint_(std::move(context.endpoint)) {}
        cohort::Task<std::optional<cohort::Socket>> accept() override { co_return std::nullopt; }
        void deliver(std::uint64_t, std::uint32_t, std::vector<cohort::detail::TransferredConnection>) override {}
        void forget(std::uint64_t, std::uint32_t) override {}
        void look_again() override {}
        void stop(bool) override {}
        void close() override {}
        const cohort::Endpoint& endpoint() const noexcept override { return endpoint_; }

    private:
        cohort::Endpoint endpoint_;
    };
};

static_assert(cohort::Mode<PrivatePort>);
static_assert(cohort::Mode<cohort::RoundRobin>);
static_assert(cohort::Mode<cohort::SharedSocket>);

struct NoIntake {
    using Dispatcher = PrivatePort::Dispatcher;
};
struct WrongIntake {
    using Dispatcher = PrivatePort::Dispatcher;
    struct Intake {
        explicit Intake(cohort::IntakeContext) {}
    };
};
struct WrongDispatcher {
    struct Dispatcher {
        explicit Dispatcher(cohort::DispatchContext) {}
    };
    using Intake = PrivatePort::Intake;
};
static_assert(!cohort::Mode<int>);
static_assert(!cohort::Mode<NoIntake>);
static_assert(!cohort::Mode<WrongIntake>);
static_assert(!cohort::Mode<WrongDispatcher>);

} // namespace

TEST_CASE("a mode of the user's works with the same parts as cohort's own") {
    asio::io_context io;
    cohort::detail::SharedPage page;
    cohort::detail::Ledger ledger;
    const cohort::Options options;
    PrivatePort::Dispatcher dispatcher(cohort::DispatchContext{io.get_executor(), page, ledger, options});
    cohort::DispatchTarget first;
    cohort::DispatchTarget second;
    const auto one = dispatcher.open(first, "127.0.0.1:0");
    const auto other = dispatcher.open(second, "127.0.0.1:0");
    CHECK_FALSE(one.error);
    CHECK(one.endpoint != other.endpoint);
    CHECK(dispatcher.open(second, one.endpoint).error == std::errc::address_in_use);
}

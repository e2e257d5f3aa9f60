// SPDX-License-Identifier: MIT
// What makes a type a mode: anybody may write a third one.
#include <cohort/mode.hpp>

#include <cohort/acceptor.hpp>
#include <cohort/detail/control/shared_page.hpp>

#include <cohort/mode/round_robin.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/run_for.hpp>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace {

/// Every worker has a port of its own: the master only opens it. Nothing here is of cohort::detail.
class PrivatePorts final : public cohort::Dispatcher {
public:
    explicit PrivatePorts(const cohort::DispatchContext& context) : context_(context) {}

    void prepare() override {}
    std::vector<int> inherited(unsigned) override { return {}; }
    cohort::Grant open(cohort::DispatchTarget& target, const cohort::Endpoint& endpoint) override {
        cohort::Grant grant;
        listeners_.push_back(context_.open_listener(endpoint, target.slot, grant.error));
        if (grant.error) return grant;
        grant.listener = context_.acquire_listener();
        grant.endpoint = cohort::local_endpoint(listeners_.back());
        grant.descriptor = listeners_.back().get();
        return grant;
    }
    void close(cohort::DispatchTarget&, cohort::ListenerId listener) override { context_.release_listener(listener); }
    void give(const cohort::Endpoint&, cohort::TransferredConnection) override {}
    std::size_t waiting() const override { return 0; }
    void lost(cohort::DispatchTarget&, cohort::ListenerId, std::uint64_t, std::uint32_t) override {}
    void took(cohort::DispatchTarget&, cohort::ListenerId) override {}
    void drain(cohort::DispatchTarget&) override {}
    void leave(cohort::DispatchTarget&, bool) override {}
    std::vector<cohort::QueueStats> queues() const override { return {}; }
    std::vector<cohort::OpenListener> listeners() const override { return {}; }
    void stop(bool) override { listeners_.clear(); }

private:
    cohort::DispatchContext context_;
    std::vector<cohort::Descriptor> listeners_;
};

class NoConnections final : public cohort::Intake {
public:
    explicit NoConnections(cohort::IntakeContext context) : endpoint_(std::move(context.endpoint)) {}
    cohort::Task<std::optional<cohort::Socket>> accept() override { co_return std::nullopt; }
    void deliver(std::uint64_t, std::uint32_t, std::vector<cohort::TransferredConnection>) override {}
    void forget(std::uint64_t, std::uint32_t) override {}
    void look_again() override {}
    void stop(bool) override {}
    void close() override {}
    const cohort::Endpoint& endpoint() const noexcept override { return endpoint_; }

private:
    cohort::Endpoint endpoint_;
};

struct PrivatePort {
    static std::unique_ptr<cohort::Dispatcher> make_dispatcher(const cohort::DispatchContext& context) {
        return std::make_unique<PrivatePorts>(context);
    }
    static std::shared_ptr<cohort::Intake> make_intake(cohort::IntakeContext context) {
        return std::make_shared<NoConnections>(std::move(context));
    }
};

static_assert(cohort::Mode<PrivatePort>);
static_assert(cohort::Mode<cohort::RoundRobin>);
static_assert(cohort::Mode<cohort::SharedSocket>);

struct NoIntake {
    static std::unique_ptr<cohort::Dispatcher> make_dispatcher(const cohort::DispatchContext&);
};
struct WrongIntake : NoIntake {
    static std::shared_ptr<int> make_intake(cohort::IntakeContext);
};
struct WrongDispatcher {
    static int make_dispatcher(const cohort::DispatchContext&);
    static std::shared_ptr<cohort::Intake> make_intake(cohort::IntakeContext);
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
    const auto owned = PrivatePort::make_dispatcher({io.get_executor(), page, ledger, options});
    cohort::Dispatcher& dispatcher = *owned;
    cohort::DispatchTarget first;
    cohort::DispatchTarget second;
    const auto one = dispatcher.open(first, "127.0.0.1:0");
    const auto other = dispatcher.open(second, "127.0.0.1:0");
    CHECK_FALSE(one.error);
    CHECK(one.endpoint != other.endpoint);
    CHECK(dispatcher.open(second, one.endpoint).error == std::errc::address_in_use);
}

// SPDX-License-Identifier: MIT
#include <cohort/listener.hpp>

#include <cohort/detail/system/fd_passing.hpp>

#include <doctest/doctest.h>

#include <support/run_for.hpp>

#include <cohort/detail/async/notifier.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <sys/socket.h>

using namespace std::chrono_literals;
using asio::experimental::awaitable_operators::operator||;
using cohort::Listener;
using cohort::Socket;
using cohort::Task;

namespace {

/// Connections that a test puts there, each with its number to read.
class FakeIntake final : public cohort::Intake {
public:
    explicit FakeIntake(asio::io_context& io) : io_(io), arrival_(io.get_executor()) {}

    void put(std::uint32_t number) {
        auto [ours, theirs] = cohort::detail::make_socketpair(SOCK_STREAM);
        REQUIRE(::send(theirs.get(), &number, sizeof number, MSG_NOSIGNAL) == sizeof number);
        queue_.push_back(std::move(ours));
        arrival_.notify_all();
    }

    Task<std::optional<Socket>> accept() override {
        for (;;) {
            if (!queue_.empty()) co_return take();
            if (closed) co_return std::nullopt;
            co_await arrival_.wait();
            cohort::detail::throw_if_cancelled(co_await asio::this_coro::cancellation_state);
        }
    }
    void deliver(std::uint64_t, std::uint32_t, std::vector<cohort::detail::TransferredConnection>) override {}
    void forget(std::uint64_t, std::uint32_t) override {}
    void look_again() override {}
    void stop(bool) override {}
    void close() override {
        ++closed;
        queue_.clear();
        arrival_.notify_all();
    }
    const cohort::Endpoint& endpoint() const noexcept override { return endpoint_; }

    int closed = 0;

private:
    Socket take() {
        Socket socket(io_);
        socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), queue_.front().release());
        queue_.pop_front();
        return socket;
    }

    asio::io_context& io_;
    cohort::detail::Notifier arrival_;
    std::deque<cohort::detail::UniqueFd> queue_;
    cohort::Endpoint endpoint_{"127.0.0.1:8080"};
};

struct Fixture {
    asio::io_context io;
    std::shared_ptr<FakeIntake> intake = std::make_shared<FakeIntake>(io);
    int told = 0;
    Listener listener{intake, [this] { ++told; }};
};

std::uint32_t number_of(Socket& socket) {
    std::uint32_t number = 0;
    CHECK(::recv(socket.native_handle(), &number, sizeof number, MSG_DONTWAIT) == sizeof number);
    return number;
}

Task<> accept_until_end(Listener& listener, std::vector<std::uint32_t>& numbers, bool& ended) {
    for (;;) {
        auto socket = co_await listener.accept();
        if (!socket) break;
        numbers.push_back(number_of(*socket));
    }
    ended = true;
}

Task<> accept_with_timeouts(Listener& listener, std::chrono::microseconds timeout, std::size_t count,
                            std::vector<std::uint32_t>& numbers, int& given_up) {
    for (int round = 0; numbers.size() < count; ++round) {
        if (round % 2 == 0) {
            auto result = co_await (listener.accept() || test::sleep_for(timeout));
            if (result.index() == 0)
                numbers.push_back(number_of(std::get<0>(result).value()));
            else
                ++given_up;
        } else {
            auto result = co_await (test::sleep_for(timeout) || listener.accept());
            if (result.index() == 1)
                numbers.push_back(number_of(std::get<1>(result).value()));
            else
                ++given_up;
        }
    }
}

/// Now one connection, now several, at moments that fall before, at and after the timeouts.
Task<> put_irregularly(FakeIntake& intake, std::uint32_t count, std::chrono::microseconds around) {
    std::mt19937 random(7);
    for (std::uint32_t put = 0; put < count;) {
        for (auto burst = random() % 4; burst > 0 && put < count; --burst) intake.put(put++);
        const auto pause = around * static_cast<int>(random() % 21) / 10;
        if (random() % 2 == 0) {
            co_await asio::post(asio::use_awaitable);
            continue;
        }
        co_await test::sleep_for(pause);
    }
}

} // namespace

TEST_CASE("a listener gives connections until it is closed, and is closed once") {
    Fixture f;
    std::vector<std::uint32_t> numbers;
    bool ended = false;
    f.intake->put(0);
    test::start(f.io, accept_until_end(f.listener, numbers, ended));
    test::settle(f.io);
    f.intake->put(1);
    test::settle(f.io);
    CHECK(numbers == std::vector<std::uint32_t>{0, 1});
    CHECK_FALSE(ended);

    f.listener.close();
    f.listener.close();
    CHECK(f.told == 1);
    CHECK(f.intake->closed == 1);
    test::run_until(f.io, [&] { return ended; });
    CHECK(f.listener.port() == 8080);
    CHECK(f.listener.endpoint().host() == "127.0.0.1");
}

TEST_CASE("destroying or replacing a listener closes it, moving it does not") {
    asio::io_context io;
    const auto a = std::make_shared<FakeIntake>(io);
    const auto b = std::make_shared<FakeIntake>(io);
    {
        Listener first(a, [] {});
        Listener moved(std::move(first));
        CHECK(a->closed == 0);
        Listener second(b, [] {});
        moved = std::move(second);
        CHECK(a->closed == 1);
        CHECK(b->closed == 0);
        Listener& same = moved;
        moved = std::move(same);
        CHECK(b->closed == 0);
    }
    CHECK(a->closed == 1);
    CHECK(b->closed == 1);
}

TEST_CASE("an accept that loses its race against a timer loses no connection") {
    for (const std::chrono::microseconds timeout : {0us, 1000us}) {
        CAPTURE(timeout.count());
        Fixture f;
        std::vector<std::uint32_t> numbers;
        int given_up = 0;
        const std::uint32_t count = timeout == 0us ? 3000 : 300;
        auto putting = put_irregularly(*f.intake, count, std::max<std::chrono::microseconds>(timeout, 100us));
        test::start(f.io, test::when_positive(given_up, std::move(putting)));
        test::run_for(f.io, accept_with_timeouts(f.listener, timeout, count, numbers, given_up));
        REQUIRE(numbers.size() == count);
        for (std::uint32_t i = 0; i < count; ++i) CHECK(numbers[i] == i);
        CHECK(given_up > 0);
    }
}

TEST_CASE("of two listeners that are waited for at once, neither loses a connection") {
    struct Run {
        static Task<> either(Listener& a, Listener& b, std::size_t count, std::vector<std::uint32_t>& from_a,
                             std::vector<std::uint32_t>& from_b) {
            while (from_a.size() < count || from_b.size() < count) {
                auto result = co_await (a.accept() || b.accept());
                if (result.index() == 0)
                    from_a.push_back(number_of(std::get<0>(result).value()));
                else
                    from_b.push_back(number_of(std::get<1>(result).value()));
            }
        }
    };
    asio::io_context io;
    const auto a = std::make_shared<FakeIntake>(io);
    const auto b = std::make_shared<FakeIntake>(io);
    Listener at_a(a, [] {});
    Listener at_b(b, [] {});
    std::vector<std::uint32_t> from_a;
    std::vector<std::uint32_t> from_b;
    test::start(io, put_irregularly(*a, 2000, 0us));
    test::start(io, put_irregularly(*b, 2000, 0us));
    test::run_for(io, Run::either(at_a, at_b, 2000, from_a, from_b));
    for (std::uint32_t i = 0; i < 2000; ++i) {
        CHECK(from_a[i] == i);
        CHECK(from_b[i] == i);
    }
}

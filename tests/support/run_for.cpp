// SPDX-License-Identifier: MIT
#include "run_for.hpp"

#include <doctest/doctest.h>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>

namespace test {

void start(asio::io_context& io, cohort::Task<> task) {
    spawn(io, std::move(task), [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
    });
}

void run_until(asio::io_context& io, const std::function<bool()>& done, std::chrono::seconds longest) {
    const auto deadline = std::chrono::steady_clock::now() + longest;
    io.restart();
    while (!done()) {
        if (io.run_one_until(deadline) != 0) continue;
        if (io.stopped()) FAIL("everything waits for something that will not happen");
        FAIL("not done after ", longest.count(), " s");
    }
}

void run_for(asio::io_context& io, cohort::Task<> task, std::chrono::seconds longest) {
    bool done = false;
    std::exception_ptr failure;
    spawn(io, std::move(task), [&](std::exception_ptr error) {
        failure = error;
        done = true;
    });
    run_until(
        io, [&] { return done; }, longest);
    if (failure) std::rethrow_exception(failure);
}

void settle(asio::io_context& io) {
    io.restart();
    while (io.poll() != 0) {
    }
}

cohort::Task<> sleep_for(std::chrono::steady_clock::duration time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

cohort::Task<> never() {
    asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

cohort::Task<> yield() { co_await asio::post(asio::use_awaitable); }

} // namespace test

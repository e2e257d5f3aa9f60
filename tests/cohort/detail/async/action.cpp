// SPDX-License-Identifier: MIT
#include <cohort/detail/async/action.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <memory>
#include <thread>

using namespace cohort::detail;

namespace {

struct ActionCounter {
    void count() { ++calls; }
    int calls = 0;
};
struct Derived : ActionCounter {};

} // namespace

TEST_CASE("what is posted is called at the next turn of the loop, once each") {
    asio::io_context io;
    ActionCounter counter;
    post(io.get_executor(), action<&ActionCounter::count>(&counter));
    post(io.get_executor(), action<&ActionCounter::count>(&counter));
    CHECK(counter.calls == 0);
    io.run();
    CHECK(counter.calls == 2);
}

TEST_CASE("an owner is kept until the action has been called, and no longer") {
    asio::io_context io;
    auto owner = std::make_shared<Derived>();
    const std::weak_ptr<Derived> left = owner;
    Derived* const object = owner.get();
    post(io.get_executor(), action<&ActionCounter::count>(object, std::move(owner)));
    CHECK_FALSE(left.expired());
    io.run();
    CHECK(left.expired());
}

TEST_CASE("an owner does not outlive the loop that never got to the action") {
    std::weak_ptr<ActionCounter> left;
    {
        asio::io_context io;
        const auto owner = std::make_shared<ActionCounter>();
        left = owner;
        post(io.get_executor(), action<&ActionCounter::count>(owner.get(), owner));
    }
    CHECK(left.expired());
}

TEST_CASE("another thread may post") {
    asio::io_context io;
    ActionCounter counter;
    std::thread([&] { post(io.get_executor(), action<&ActionCounter::count>(&counter)); }).join();
    io.run();
    CHECK(counter.calls == 1);
}

// SPDX-License-Identifier: MIT
#include "spawn.hpp"

#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>

namespace test {

void spawn(asio::io_context& io, cohort::Task<> task, Ended ended) {
    spawn(asio::any_io_executor(io.get_executor()), std::move(task), std::move(ended));
}

void spawn(const asio::any_io_executor& executor, cohort::Task<> task, Ended ended) {
    asio::co_spawn(executor, std::move(task), [ended = std::move(ended)](std::exception_ptr error) {
        if (ended) ended(std::move(error));
    });
}

cohort::Task<> both(cohort::Task<> first, cohort::Task<> second) {
    using namespace asio::experimental::awaitable_operators;
    co_await (std::move(first) && std::move(second));
}

cohort::Task<std::size_t> either(cohort::Task<> first, cohort::Task<> second) {
    using namespace asio::experimental::awaitable_operators;
    const auto result = co_await (std::move(first) || std::move(second));
    co_return result.index();
}

} // namespace test

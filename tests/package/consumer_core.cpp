// SPDX-License-Identifier: MIT
// Uses cohort without HTTP, so without llhttp, in the header-only way.
#include <cohort/error.hpp>
#include <cohort/task.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

static cohort::Task<> work(const std::error_category*& category) {
    category = &cohort::error_category();
    co_return;
}

int main() {
    asio::io_context io;
    const std::error_category* category = nullptr;
    asio::co_spawn(io, work(category), asio::detached);
    io.run();
    return category == &cohort::error_category() ? 0 : 1;
}

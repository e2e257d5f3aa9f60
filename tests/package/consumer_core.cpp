// SPDX-License-Identifier: MIT
// Uses cohort without HTTP, so without llhttp.
#include <cohort/task.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

static cohort::Task<> set(bool& done) {
    done = true;
    co_return;
}

int main() {
    bool done = false;
    asio::io_context io;
    asio::co_spawn(io, set(done), asio::detached);
    io.run();
    return done ? 0 : 1;
}

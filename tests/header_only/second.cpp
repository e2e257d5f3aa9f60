// SPDX-License-Identifier: MIT
// Two units that include everything link into one program, share what must exist once, and run a cluster.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS
#include <cohort.hpp>

#include <doctest/doctest.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <chrono>
#include <string>

namespace odr {

const std::error_category* first_category();
cohort::Task<int> first_task();

static cohort::Task<> await_the_other_unit(int& result) { result = co_await first_task(); }

} // namespace odr

TEST_CASE("inline objects exist once in a program of several translation units") {
    CHECK(odr::first_category() == &cohort::error_category());
}

TEST_CASE("a task of one translation unit is awaited in another") {
    asio::io_context io;
    int result = -1;
    asio::co_spawn(io, odr::await_the_other_unit(result), asio::detached);
    io.run();
    CHECK(result == COHORT_VERSION_MINOR);
}

namespace odr {

struct Greeting {
    std::string text;
};
using App = cohort::Master<Greeting>;

static cohort::Task<> greet(App::Worker& self) {
    const Greeting greeting{"hello from slot " + std::to_string(self.slot())};
    co_await self.send(greeting);
}

static cohort::Task<> hear(App& app, std::string& heard) {
    const auto mail = co_await app.receive();
    if (mail) heard = mail->message.text;
    co_await app.stop();
}

} // namespace odr

TEST_CASE("a cluster of the header-only way") {
    asio::io_context io;
    odr::App app(io, {.restart = cohort::Restart::temporary});
    app.spawn(odr::greet);
    std::string heard;
    asio::co_spawn(io, odr::hear(app, heard), asio::detached);
    io.run_for(std::chrono::seconds(30));
    CHECK(heard == "hello from slot 0");
}

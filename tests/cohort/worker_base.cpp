// SPDX-License-Identifier: MIT
// Functions for any worker, whatever its messages and its mode are.
#include <cohort/worker_base.hpp>

#include <cohort/master.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <support/run_for.hpp>

#include <string>

namespace {

struct Name {
    std::string text;
};

/// Knows nothing of the cluster that it is used in.
std::string describe(const cohort::WorkerBase& worker) {
    return "worker " + std::to_string(worker.id()) + " in slot " + std::to_string(worker.slot());
}

template <class App>
cohort::Task<> introduce_itself(typename App::Worker& self) {
    const Name name{describe(self)};
    co_await self.send(name);
}

template <class App>
cohort::Task<> listen_to(App& app, std::string& said) {
    const auto mail = co_await app.receive();
    if (mail) said = mail->message.text;
}

template <class App>
std::string what_the_worker_says() {
    asio::io_context io;
    App app(io, {.restart = cohort::Restart::temporary});
    app.spawn(introduce_itself<App>);
    std::string said;
    test::spawn(io, listen_to(app, said));
    test::run_until(io, [&] { return !said.empty(); });
    return said;
}

} // namespace

TEST_CASE("a function that takes a WorkerBase works with workers of every message and mode") {
    CHECK(what_the_worker_says<cohort::Master<Name>>() == "worker 1 in slot 0");
    CHECK(what_the_worker_says<cohort::Master<Name, cohort::SharedSocket>>() == "worker 1 in slot 0");
}

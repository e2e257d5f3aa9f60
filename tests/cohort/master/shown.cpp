// SPDX-License-Identifier: MIT
// What workers and clients say, where it is shown: on standard error, in events, in exceptions.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"

#include <cohort/counter.hpp>
#include <cohort/detail/control/control_message.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/system/fd_passing.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>

#include <sys/socket.h>
#include <unistd.h>

using namespace test;

namespace {

/// Ends a line and begins one that looks like another's, clears the screen, rings, deletes, and all that in C1, too.
const std::string evil = "text\nforged\r\x1b[2J\x07\x7f\xc2\x9b"
                         "31m";

bool is_harmless(const std::string& text) {
    const auto is_control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == '\x7f'; };
    return std::ranges::none_of(text, is_control) && text.find("\xc2\x9b") == text.npos &&
           text.find("\nforged") == text.npos && !text.starts_with("forged");
}

template <class Do>
std::string what_of(Do action) {
    try {
        action();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "nothing was thrown\x1b";
}

std::string text_of_exception() {
    try {
        throw std::runtime_error(evil);
    } catch (...) {
        return detail::exception_text();
    }
}

// In workers

/// Sends its master what the library would not.
template <class Message>
void send_raw(const Message& message) {
    detail::Buffer bytes;
    detail::encode_message(message, bytes);
    for (int fd = 3; fd != 256; ++fd) {
        int type = 0;
        socklen_t size = sizeof type;
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
            detail::send_datagram(fd, bytes.bytes(), {});
    }
}

/// As a hostile worker has it: such a path is not made by any factory, and no worker of the library's sends it.
Endpoint evil_endpoint() { return Endpoint::unix_path("/" + evil); }

Task<> do_throw(App::Worker&) {
    throw std::runtime_error(evil);
    co_return;
}
Task<> throw_at_exit(App::Worker& self) {
    self.at_exit([] { throw std::runtime_error(evil); });
    co_return;
}
Task<> fail_setup(App::Worker& self) {
    send_raw(detail::SetupFailed{EPERM, evil});
    co_await say(self, "sent");
    co_await self.until_stopping();
}
Task<> announce(App::Worker& self) {
    send_raw(detail::Announced{evil_endpoint()});
    co_await self.until_stopping();
}
Task<> abort_doing(App::Worker& self) {
    self.doing(evil);
    std::abort();
    co_return;
}
Task<> fail_to_listen(App::Worker& self) {
    const auto listener = co_await self.listen(Endpoint::unix_path("/nowhere/" + evil));
}
Task<> fail_call(App::Worker& self) {
    while (auto call = co_await self.receive_mail()) call->fail(evil);
}
Task<> do_nothing(App::Worker&) { co_return; }

// In the master

/// Shows what a program would of its events, until the worker has gone.
Task<> show_events(App& app) {
    while (const auto event = co_await app.next_event()) {
        if (!event->endpoint) continue;
        std::cout << "endpoint " << event->endpoint->to_string() << std::endl;
        app.kill(event->worker, SIGKILL);
    }
}

Task<> show_call(App& app, WorkerId worker) {
    const Note question{"what?"};
    try {
        co_await app.call(worker, question, limit);
    } catch (const std::system_error& failure) {
        std::cout << failure.what() << std::endl;
    }
    app.kill(worker, SIGKILL);
}

using Body = Task<> (*)(App::Worker&);

/// All that a master, its worker and its program write.
std::string output_of(Body body, Options options) {
    Helper helper([body, options] {
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        in_master<App>(options, [body](App& app) -> Task<> {
            const WorkerId worker = app.spawn(body);
            if (body == &fail_call) co_await show_call(app, worker);
            if (body == &fail_setup) {
                co_await next(app, WorkerState::online);
                co_await mail(app);
                app.disconnect(worker);
            }
            co_await show_events(app);
        });
        return 0;
    });
    const std::string text = helper.rest();
    CHECK(helper.wait().code() == 0);
    return text;
}

Options with(Hooks hooks) {
    Options options = plain_options();
    options.hooks = std::move(hooks);
    return options;
}

} // namespace

TEST_CASE("text from elsewhere is harmless in what the library gives to be shown") {
    const std::map<std::string, std::function<std::string()>> places = {
        {"an exception", &text_of_exception},
        {"a path", [] { return evil_endpoint().to_string(); }},
        {"an endpoint that is none", [] { return what_of([] { Endpoint{evil}; }); }},
        {"a path that is none", [] { return what_of([] { Endpoint::unix_path(evil + std::string(1, '\0')); }); }},
        {"an activation name that is none", [] { return what_of([] { Endpoint::activated(evil); }); }},
        {"a counter's name", [] { return what_of([] { detail::to_counter_name(evil); }); }},
    };
    for (const auto& [name, place] : places) {
        CAPTURE(name);
        const std::string text = place();
        CHECK(text.find("\\x1b[2J") != text.npos);
        CHECK_MESSAGE(is_harmless(text), text);
    }
}

TEST_CASE("text of workers is harmless where it is written") {
    const std::map<std::string, std::pair<Body, Options>> cases = {
        {"what a body throws", {&do_throw, plain_options()}},
        {"what is thrown at its end", {&throw_at_exit, plain_options()}},
        {"why it could not be prepared", {&fail_setup, plain_options()}},
        {"where it listens", {&announce, plain_options()}},
        {"where it cannot listen", {&fail_to_listen, plain_options()}},
        {"why a call failed", {&fail_call, plain_options()}},
        {"a hook in the worker",
         {&do_nothing, with({.in_worker = [](WorkerId, unsigned) { throw std::runtime_error(evil); }})}},
        {"a hook in the master",
         {&do_nothing, with({.on_exit = [](const Event&) { throw std::runtime_error(evil); }})}},
    };
    for (const auto& [name, its] : cases) {
        CAPTURE(name);
        const std::string text = output_of(its.first, its.second);
        CHECK_MESSAGE(text.find("text\\x0aforged\\x0d\\x1b[2J\\x07\\x7f\\xc2\\x9b31m") != text.npos, text);
        CHECK_MESSAGE(is_harmless(text), text);
    }
    const std::string aborted = output_of(&abort_doing, plain_options());
    CHECK_MESSAGE(aborted.find("doing: text?forged??[2J??") != aborted.npos, aborted);
    CHECK_MESSAGE(is_harmless(aborted), aborted);
}

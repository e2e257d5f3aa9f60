// SPDX-License-Identifier: MIT
// Calls between a master and its workers, and the pool.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/run_for.hpp"

#include <atomic>
#include <csignal>
#include <functional>
#include <map>
#include <optional>

using namespace test;

namespace {

std::atomic<int>& told_to_wait = make_shared_number();

/// Answers with who it is, and does what the question says.
Task<Note> obey(App::Worker& self, const Note& question) {
    if (question.text == "die") ::raise(SIGKILL);
    if (question.text == "die in worker 1" && self.id() == 1) ::raise(SIGKILL);
    if (question.text == "throw") throw std::runtime_error("as it was told");
    if (question.text == "wait") {
        ++told_to_wait;
        co_await pause(self.context(), 1h);
    }
    if (question.text == "wait a little") co_await pause(self.context(), 20ms);
    const Note answer{question.text, self.id()};
    co_return answer;
}

Task<> serve(App::Worker& self) {
    co_await self.serve([&](const Note& question) { return obey(self, question); });
}

/// Ends a little later than it is asked to.
Task<int> serve_to_the_end(App::Worker& self) {
    co_await serve(self);
    co_await pause(self.context(), 50ms);
    co_return 7;
}

struct Outcome {
    std::vector<Note> answers;
    std::vector<std::error_code> errors;

    std::size_t count() const { return answers.size() + errors.size(); }
};

Task<> ask(App& app, std::string text, Outcome& outcome, CallOptions options = {.timeout = limit}) {
    try {
        const Note question{std::move(text)};
        auto answer = co_await app.call(question, options);
        outcome.answers.push_back(std::move(answer));
    } catch (const std::system_error& error) {
        outcome.errors.push_back(error.code());
    }
}

Task<> until(App& app, std::function<bool()> done) {
    while (!done()) co_await pause(app.context(), 1ms);
}

TEST_CASE("a master asks one worker, and a worker its master, at the same time") {
    struct Run {
        static Task<> ask_the_master(App::Worker& self) {
            spawn(self.context(), serve(self));
            for (std::int64_t i = 0; i < 50; ++i) {
                const Note question{"from the worker", i};
                const auto answer = co_await self.call(question, limit);
                if (answer.number != i + 1) throw std::logic_error("wrong answer");
            }
            co_await say(self, "content");
            co_await self.until_stopping();
        }
        static Task<> answer_workers(App& app, bool& content) {
            while (auto mail = co_await app.receive()) {
                content = content || mail->message.text == "content";
                const Note answer{"from the master", mail->message.number + 1};
                co_await mail->reply(answer);
            }
        }
    };
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(&Run::ask_the_master);
        bool content = false;
        spawn(app.context(), Run::answer_workers(app, content));
        for (int i = 0; i < 50; ++i) {
            const Note question{"from the master"};
            const auto answer = co_await app.call(worker, question, limit);
            CHECK(answer.number == worker);
        }
        co_await until(app, [&] { return content; });
    });
}

TEST_CASE("Master::serve answers the workers' calls and knows who asks") {
    struct Run {
        static Task<int> ask(App::Worker& self) {
            const Note question{"who am I?"};
            const auto answer = co_await self.call(question, limit);
            co_return answer.number == self.id() ? 0 : 1;
        }
        static Task<Note> answer(const App::Mail& mail) {
            const Note note{"you are", mail.from};
            co_return note;
        }
        static Task<> serve(App& app) { co_await app.serve(&answer); }
    };
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(&Run::ask);
        app.spawn(&Run::ask);
        spawn(app.context(), Run::serve(app));
        for (int i = 0; i < 2; ++i) {
            const Event end = co_await next(app, WorkerState::exited);
            CHECK(end.status == ExitStatus::exited(0));
        }
    });
}

TEST_CASE("calls that workers give up make room for others, however few Master::serve answers at once") {
    struct Run {
        static Task<int> ask(App::Worker& self) {
            for (int i = 0; i != 10; ++i) {
                const Note endless{"endless"};
                std::error_code error;
                try {
                    co_await drop_result(self.call(endless, 10ms));
                } catch (const std::system_error& thrown) {
                    error = thrown.code();
                }
                if (error != std::errc::timed_out) co_return 1;
                const Note question{"now"};
                const auto answer = co_await self.call(question, limit);
                if (answer.text != "now") co_return 2;
            }
            co_return 0;
        }
        static Task<Note> answer(const App::Mail& mail) {
            if (mail.message.text == "endless") co_await never();
            const Note note{mail.message.text};
            co_return note;
        }
        static Task<> serve(App& app, std::size_t at_once) { co_await app.serve(&answer, at_once); }
    };
    for (const std::size_t at_once : {1U, 2U, 3U}) {
        CAPTURE(at_once);
        in_master<App>(plain_options(), [at_once](App& app) -> Task<> {
            for (int i = 0; i != 3; ++i) app.spawn(&Run::ask);
            spawn(app.context(), Run::serve(app, at_once));
            for (int i = 0; i != 3; ++i) {
                const Event end = co_await next(app, WorkerState::exited);
                CHECK(end.status == ExitStatus::exited(0));
            }
        });
    }
}

TEST_CASE("a worker that is leaving still gets its answers, and gives those it owes") {
    struct Run {
        static Task<int> work(App::Worker& self) {
            auto mail = co_await self.receive_mail();
            co_await say(self, "asked");
            co_await self.until_stopping();
            const Note question{"one more thing"};
            const auto answer = co_await self.call(question, limit);
            const Note owed{"owed", answer.number};
            co_await mail->reply(owed);
            co_return 0;
        }
        static Task<Note> answer(const App::Mail&) {
            const Note note{"yes?", 42};
            co_return note;
        }
        static Task<> serve(App& app) { co_await app.serve(&answer); }
        static Task<> ask(App& app, WorkerId worker, std::int64_t& number) {
            const Note question{"owed?"};
            const auto answer = co_await app.call(worker, question, limit);
            number = answer.number;
        }
    };
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(&Run::work);
        std::int64_t number = 0;
        spawn(app.context(), Run::ask(app, worker, number));
        const auto asked = co_await mail(app);
        CHECK(asked.message.text == "asked");
        spawn(app.context(), Run::serve(app));
        app.disconnect(worker);
        const Event end = co_await end_of(app, worker);
        CHECK(end.status == ExitStatus::exited(0));
        CHECK(number == 42);
    });
}

TEST_CASE("a worker's death fails what it was asked, and says so at once") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(serve);
        std::error_code error;
        const Note question{"die"};
        try {
            co_await app.call(worker, question);
        } catch (const std::system_error& failure) {
            error = failure.code();
        }
        CHECK(error == std::errc::connection_reset);
    });
}

TEST_CASE("what a handler throws reaches the caller, and the worker lives") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(serve);
        std::string what;
        const Note bad{"throw"};
        try {
            co_await app.call(worker, bad, limit);
        } catch (const std::system_error& failure) {
            CHECK(failure.code() == Errc::call_failed);
            what = failure.what();
        }
        CHECK(what.find("as it was told") != std::string::npos);
        const Note good{"well"};
        const auto answer = co_await app.call(worker, good, limit);
        CHECK(answer.text == "well");
    });
}

TEST_CASE("a message to a worker can be acknowledged") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(echo<App::Worker>);
        const Note note{"taken?"};
        co_await app.send_acked(worker, note, limit);
        const auto reply = co_await mail(app);
        CHECK(reply.message.text == "taken?");
    });
}

TEST_CASE("the pool asks the worker with the fewest calls, and no worker more than it may have") {
    auto options = plain_options();
    options.calls_per_worker = 2;
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(serve);
        for (int i = 0; i < 3; ++i) co_await next(app, WorkerState::online);
        Outcome outcome;
        // All begin before the first can end.
        for (int i = 0; i < 6; ++i) spawn(app.context(), ask(app, "wait a little", outcome));
        co_await until(app, [&] { return outcome.count() == 6; });
        std::map<std::int64_t, int> by_worker;
        for (const auto& answer : outcome.answers) ++by_worker[answer.number];
        CHECK(by_worker.size() == 3);
        for (const auto& [worker, count] : by_worker) CHECK(count == 2);
    });
}

TEST_CASE("calls wait for the first worker, and then for room, and all are answered") {
    auto options = plain_options();
    options.calls_per_worker = 2;
    in_master<App>(options, [](App& app) -> Task<> {
        Outcome outcome;
        for (int i = 0; i < 60; ++i) spawn(app.context(), ask(app, "hello", outcome));
        for (int i = 0; i < 3; ++i) app.spawn(serve);
        co_await until(app, [&] { return outcome.count() == 60; });
        CHECK(outcome.errors.empty());
    });
}

TEST_CASE("a call whose worker dies is tried elsewhere if it is idempotent, and only then") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(serve);
        co_await next(app, WorkerState::online);
        app.spawn(serve);
        co_await next(app, WorkerState::online);
        Outcome outcome;
        co_await ask(app, "die in worker 1", outcome, {.timeout = limit, .idempotent = true});
        REQUIRE(outcome.answers.size() == 1);
        CHECK(outcome.answers[0].number == 2);
        co_await ask(app, "die", outcome);
        REQUIRE(outcome.errors.size() == 1);
        CHECK(outcome.errors[0] == std::errc::connection_reset);
    });
}

TEST_CASE("a call that kills every worker it meets ends after its attempts") {
    auto options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(serve);
        Outcome outcome;
        co_await ask(app, "die", outcome, {.timeout = limit, .idempotent = true, .attempts = 2});
        REQUIRE(outcome.errors.size() == 1);
        CHECK(outcome.errors[0] == std::errc::connection_reset);
        int ends = 0;
        while (ends < 2) {
            co_await next(app, WorkerState::exited);
            ++ends;
        }
        co_await ask(app, "well", outcome); // the successor
        CHECK(outcome.answers.size() == 1);
    });
}

TEST_CASE("waiting calls are bounded in number and time, and end with the cluster") {
    auto options = plain_options();
    options.calls_per_worker = 1;
    options.queued_calls = 2;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(serve);
        co_await next(app, WorkerState::online);
        Outcome busy;
        Outcome waiting;
        Outcome too_many;
        spawn(app.context(), ask(app, "wait", busy));
        spawn(app.context(), ask(app, "late", waiting, {.timeout = 30ms}));
        spawn(app.context(), ask(app, "stopped", waiting));
        spawn(app.context(), ask(app, "refused", too_many));
        co_await until(app, [&] { return too_many.count() == 1 && waiting.count() == 1; });
        CHECK(too_many.errors.at(0) == Errc::queue_full);
        CHECK(waiting.errors.at(0) == std::errc::timed_out);
        spawn(app.context(), app.stop());
        co_await until(app, [&] { return waiting.count() == 2; });
        CHECK(waiting.errors.at(1) == Errc::stopping);
        app.kill_all();
        co_await until(app, [&] { return busy.count() == 1; });
        CHECK(busy.errors.at(0) == std::errc::connection_reset);
    });
}

TEST_CASE("calls that outlive their master end with it, those under way and those that wait") {
    auto options = plain_options();
    options.calls_per_worker = 1;
    asio::io_context io(1);
    std::optional<App> app(std::in_place, io, options);
    told_to_wait = 0;
    app->spawn(serve);
    Outcome outcome;
    for (int i = 0; i < 3; ++i)
        spawn(io, ask(*app, "wait", outcome, {.timeout = limit, .idempotent = true, .attempts = 100}));
    run_script(io, until(*app, [] { return told_to_wait > 0; })); // one is under way
    REQUIRE(outcome.count() == 0);
    app.reset();
    io.restart();
    io.run_for(limit);
    CHECK(outcome.errors == std::vector<std::error_code>(3, Errc::closed));
}

TEST_CASE("a timeout that is over at once, however it is said") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(serve);
        co_await next(app, WorkerState::online);
        using Duration = std::chrono::steady_clock::duration;
        for (const Duration timeout : {Duration(-1), Duration(-1h), Duration::min()}) {
            CAPTURE(timeout.count());
            Outcome outcome;
            co_await ask(app, "wait", outcome, {.timeout = timeout});
            REQUIRE(outcome.errors.size() == 1);
            CHECK(outcome.errors[0] == std::errc::timed_out);
            try {
                const Note note{"wait"};
                co_await app.call(1, note, timeout);
                CHECK(false);
            } catch (const std::system_error& error) {
                CHECK(error.code() == std::errc::timed_out);
            }
        }
        app.kill_all();
    });
}

TEST_CASE("a timeout that the clock cannot count is none, in a call and in each setting") {
    static constexpr auto none = std::chrono::milliseconds::max();
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.boot_timeout = options.grace = options.stuck_after = none;
    options.liveness = {none, none, none, none};
    options.backoff.stable = options.backoff.period = options.backoff.longest = none;
    options.backoff.restarts = 1;
    options.worker.lifetime = none;
    in_master<App>(options, [](App& app) -> Task<> {
        const WorkerId first = app.spawn(serve_to_the_end);
        const Note note{"hello"};
        Note reply = co_await app.call(first, note, none);
        CHECK(reply.text == "hello");
        co_await app.send_acked(first, note, std::chrono::hours::max());
        reply = co_await app.call(note, {.timeout = std::chrono::hours::max()});
        CHECK(reply.text == "hello");
        const ReloadReport report = co_await app.reload();
        CHECK(report);
        const Event first_end = co_await end_of(app, first);
        CHECK(first_end.status->code() == 7);
        co_await app.stop();
        const Event last_end = co_await next(app, WorkerState::exited);
        CHECK(last_end.status->code() == 7);
    });
}

TEST_CASE("a stopped worker that reads nothing does not draw the calls of the pool to itself") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i != 2; ++i) app.spawn(serve);
        for (int i = 0; i != 2; ++i) co_await next(app, WorkerState::online);
        app.kill(1, SIGSTOP);
        const Note large{std::string(1'000'000, 'x')};
        for (int i = 0; i != 6; ++i) {
            try {
                co_await app.call(1, large, 1ms); // given up and never read
                CHECK(false);
            } catch (const std::system_error& error) {
                if (error.code() == Errc::too_many) break;
                CHECK(error.code() == std::errc::timed_out);
            }
        }
        Outcome outcome;
        for (int i = 0; i != 20; ++i) co_await ask(app, "which", outcome);
        CHECK(outcome.answers.size() == 20);
        app.kill_all();
    });
}

} // namespace

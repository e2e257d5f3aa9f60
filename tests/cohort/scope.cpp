// SPDX-License-Identifier: MIT
#include <cohort/scope.hpp>

#include "support/cluster.hpp"

#include <asio/io_context.hpp>

#include <set>

using namespace test;

namespace {

std::set<WorkerId> living(App& app) {
    std::set<WorkerId> ids;
    for (const auto& worker : app.workers()) ids.insert(worker.id);
    return ids;
}

Task<> square(App::Worker& self) {
    while (const auto note = co_await self.receive()) {
        const Note result{note->text, note->number * note->number};
        co_await self.send(result);
    }
}

Task<std::int64_t> sum_of_squares(App& app) {
    std::int64_t number = 0;
    for (const auto& worker : app.workers()) {
        if (worker.id == 1) continue;
        ++number;
        co_await tell(app, worker.id, "square", number);
    }
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < number; ++i) {
        const auto result = co_await mail(app);
        sum += result.message.number;
    }
    co_return sum;
}

TEST_CASE("the workers of a function are gone when its result is there, the others stay") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(idle); // worker 1
        const auto sum = co_await with_workers(app, 3, square, sum_of_squares);
        CHECK(sum == 1 + 4 + 9);
        CHECK(living(app) == std::set<WorkerId>{1});
        const auto again = co_await with_workers(app, 2, square, sum_of_squares);
        CHECK(again == 1 + 4);
        CHECK(living(app) == std::set<WorkerId>{1});
    });
}

/// Does not end when it is asked to.
Task<> stay(App::Worker& self) {
    co_await say(self, "here");
    for (;;) co_await pause(self.context(), 1h);
}

Task<> fail_when_all_are_there(App& app) {
    for (int i = 0; i < 2; ++i) co_await mail(app);
    throw std::runtime_error("failed");
}

TEST_CASE("when it throws they are gone too, also those that do not care, and the exception goes on") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.grace = 50ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(idle);
        std::string failure;
        try {
            co_await with_workers(app, 2, stay, fail_when_all_are_there);
        } catch (const std::runtime_error& error) {
            failure = error.what();
        }
        CHECK(failure == "failed");
        CHECK(living(app) == std::set<WorkerId>{1});
        app.spawn(idle);
        co_await next(app, WorkerState::online);
        CHECK(living(app) == std::set<WorkerId>{1, 4}); // and none comes meanwhile
    });
}

Task<> wait_for_ever(App& app) { co_await pause(app.context(), 1h); }

Task<> wait_for_mail(App& app, int count) {
    for (int i = 0; i < count; ++i) co_await mail(app);
}

TEST_CASE("when it is cancelled they are gone before the cancellation goes on") {
    Options options = plain_options();
    options.grace = 50ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(idle);
        const auto ended = co_await either(with_workers(app, 2, stay, wait_for_ever), wait_for_mail(app, 2));
        CHECK(ended == 1);
        CHECK(living(app) == std::set<WorkerId>{1});
    });
}

TEST_CASE("cancelled while it waits for the last ones, it waits on") {
    Options options = plain_options();
    options.grace = 100ms;
    in_master<App>(options, [](App& app) -> Task<> {
        const auto until_they_leave = [](App& it) -> Task<> { co_await next(it, WorkerState::draining); };
        const auto body = [](App& it) -> Task<int> {
            co_await wait_for_mail(it, 2);
            co_return 7;
        };
        const auto ended = co_await either(drop_result(with_workers(app, 2, stay, body)), until_they_leave(app));
        CHECK(living(app).empty());
        CHECK(ended == 1); // it ended first; what was waited for longer is thrown away, as always with ||
    });
}

Task<> crash(App::Worker& self) {
    if (self.id() <= 2) std::abort();
    co_await self.until_stopping();
}

Task<std::set<WorkerId>> see_successors(App& app) {
    std::set<WorkerId> ids;
    while (ids.size() < 4) {
        const Event event = co_await next(app, WorkerState::online);
        ids.insert(event.worker);
    }
    co_return ids;
}

TEST_CASE("its workers have successors as long as it runs, and none later") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        const auto ids = co_await with_workers(app, 2, crash, see_successors);
        CHECK(ids == std::set<WorkerId>{1, 2, 3, 4});
        CHECK(living(app).empty());
        co_await app.until_finished();
    });
}

TEST_CASE("when not all of them can be started, those that were are gone") {
    Options options = plain_options();
    options.hooks.before_fork = [](unsigned slot) {
        if (slot == 2) throw std::runtime_error("not that many");
    };
    in_master<App>(options, [](App& app) -> Task<> {
        std::string failure;
        try {
            co_await with_workers(app, 5, idle, wait_for_ever);
        } catch (const std::system_error& error) {
            failure = error.what();
            CHECK(error.code() == Errc::setup_failed);
        }
        CHECK(failure.starts_with("not that many"));
        CHECK(living(app).empty());
    });
}

TEST_CASE("scale() does not count them") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(idle);
        const auto grow = [](App& it) -> Task<> {
            it.scale(2);
            CHECK(it.workers().size() == 2 + 3);
            it.scale(1);
            co_await next(it, WorkerState::exited);
        };
        co_await with_workers(app, 3, idle, grow);
        CHECK(living(app) == std::set<WorkerId>{1});
    });
}

TEST_CASE("a stop of the cluster ends them like all others") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const auto stop = [](App& it) -> Task<> { co_await it.stop(); };
        co_await with_workers(app, 2, idle, stop);
        CHECK(living(app).empty());
        std::error_code refused;
        try {
            co_await with_workers(app, 1, idle, stop);
        } catch (const std::system_error& error) {
            refused = error.code();
        }
        CHECK(refused == Errc::stopping);
    });
}

TEST_CASE("a master that ends meanwhile ends them") {
    asio::io_context io(1);
    {
        App app(io, plain_options());
        spawn(io, with_workers(app, 2, idle, wait_for_ever));
        io.run_for(10ms);
        CHECK(app.workers().size() == 2);
    }
    io.poll();
}

} // namespace

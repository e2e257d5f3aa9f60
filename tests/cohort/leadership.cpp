// SPDX-License-Identifier: MIT
// Leadership: one worker at a time, whoever resigns, leaves or dies.
#include <cohort/leadership.hpp>

#include "support/cluster.hpp"

#include <set>

using namespace test;

namespace {

TEST_CASE("a role is given up once: by resigning, by the end of its owner, or by another in its place") {
    int given_up = 0;
    const auto count = [&] { ++given_up; };
    {
        Leadership leadership("cron", count);
        CHECK(leadership.is_held());
        CHECK(leadership.role() == "cron");
        Leadership moved(std::move(leadership));
        CHECK(moved.is_held());
        CHECK(given_up == 0);
        moved.resign();
        CHECK_FALSE(moved.is_held());
        moved.resign();
        CHECK(given_up == 1);
        moved = Leadership("cron", count);
        CHECK(moved.is_held());
    }
    CHECK(given_up == 2);
    Leadership one("a", count);
    one = Leadership("b", count);
    CHECK(given_up == 3);
    CHECK(one.role() == "b");
}

/// Says when it has the role, and keeps it until it is told what to do.
Task<> lead(App::Worker& self) {
    auto leadership = co_await self.leader("cron");
    co_await say(self, "elected");
    const auto note = co_await self.receive();
    if (note && note->text == "resign") leadership.resign();
    if (note && note->text == "abort") std::abort();
    if (note && note->text == "throw") throw std::runtime_error("on purpose");
    if (!note || note->text != "end") co_await self.until_stopping();
}

Task<WorkerId> elected(App& app) {
    for (;;) {
        const auto said = co_await mail(app);
        if (said.message.text == "elected") co_return said.from;
    }
}

TEST_CASE("one worker has the role, and when it gives it up or ends in any way the next one has it") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 7; ++i) app.spawn(lead);
        std::set<WorkerId> had;
        for (const char* const end : {"resign", "abort", "throw", "end", "kill", "leave"}) {
            const WorkerId leader = co_await elected(app);
            CHECK(had.insert(leader).second);
            if (end == std::string("kill"))
                app.kill(leader, SIGKILL);
            else if (end == std::string("leave"))
                app.disconnect(leader); // its body ends
            else
                co_await tell(app, leader, end);
        }
        const WorkerId last = co_await elected(app);
        CHECK(had.insert(last).second);
    });
}

/// Takes the role again and again, and tells the master when it has it and when it has not.
Task<> come_and_go(App::Worker& self) {
    for (int i = 0; i < 50; ++i) {
        const auto leadership = co_await self.leader("cron");
        co_await say(self, "in", i);
        if (i % 10 == 9) co_await pause(self.context(), 1ms);
        const Note out{"out", i};
        co_await self.send_acked(out);
    }
}

TEST_CASE("never two at a time, however often the role changes and leaders are killed") {
    Options options = plain_options();
    options.restart = Restart::transient;
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 4; ++i) app.spawn(come_and_go);
        WorkerId leader = 0;
        int terms = 0;
        while (const auto mail = co_await app.receive()) {
            if (mail->message.text == "in") {
                // Only the death of the one before can have kept back its "out".
                const auto workers = app.workers();
                const bool others_live = leader != 0 && std::ranges::count(workers, leader, &WorkerInfo::id) != 0;
                CHECK_FALSE(others_live);
                leader = mail->from;
                if (++terms % 40 == 0 && terms <= 160)
                    ::kill(std::ranges::find(workers, leader, &WorkerInfo::id)->pid, SIGKILL);
            } else if (leader == mail->from) {
                leader = 0;
            }
        }
        CHECK(terms >= 4 * 50);
    });
}

/// Gives up waiting, and takes part again later.
Task<> impatient(App::Worker& self) {
    const auto first = co_await either(drop_result(self.leader("cron")), pause(self.context(), 5ms));
    co_await say(self, first == 1 ? "gave up" : "elected too early");
    co_await self.receive();
    const auto leadership = co_await self.leader("cron");
    co_await say(self, "elected");
}

TEST_CASE("who gives up waiting is passed over, and may ask again") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId first = app.spawn(lead);
        WorkerId leader = co_await elected(app);
        CHECK(leader == first);
        const WorkerId second = app.spawn(impatient);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "gave up");
        const WorkerId third = app.spawn(lead);
        co_await next(app, WorkerState::online);
        co_await tell(app, first, "end");
        leader = co_await elected(app);
        CHECK(leader == third);
        co_await tell(app, second, "again");
        co_await tell(app, third, "resign");
        leader = co_await elected(app);
        CHECK(leader == second);
    });
}

/// Says how its wait ended.
Task<> wait_in_vain(App::Worker& self) {
    std::string end = "elected";
    try {
        const auto leadership = co_await self.leader("cron");
    } catch (const std::system_error& error) {
        end = error.code() == Errc::stopping ? "stopping" : error.what();
    }
    co_await say(self, end);
}

TEST_CASE("a worker that is asked to leave waits no longer, and one that has the role keeps it until it goes") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(lead);
        const WorkerId leader = co_await elected(app);
        const WorkerId waiting = app.spawn(wait_in_vain);
        co_await next(app, WorkerState::online);
        co_await next(app, WorkerState::online);
        app.disconnect(waiting);
        const auto said = co_await mail(app);
        CHECK(said.from == waiting);
        CHECK(said.message.text == "stopping");
        co_await tell(app, leader, "keep");
        app.spawn(lead); // a candidate that stays
        app.disconnect(leader);
        const WorkerId following = co_await elected(app);
        CHECK(following == 3);
        co_await app.stop();
    });
}

/// Alone with roles.
Task<> greedy(App::Worker& self) {
    std::vector<Leadership> roles;
    std::string refusal;
    try {
        for (int i = 0; i < 1000; ++i) {
            auto leadership = co_await self.leader(std::to_string(i));
            roles.push_back(std::move(leadership));
        }
    } catch (const std::system_error& error) {
        refusal = error.code() == Errc::queue_full ? "queue_full" : error.what();
    }
    co_await say(self, refusal, static_cast<std::int64_t>(roles.size()));
    roles.clear();
    std::string too_long;
    try {
        const auto leadership = co_await self.leader(std::string(100'000, 'x'));
    } catch (const std::system_error& error) {
        too_long = error.code() == Errc::message_too_large ? "too long" : error.what();
    }
    co_await say(self, too_long);
    const auto again = co_await self.leader("again");
    self.disconnect();
    std::string refused;
    try {
        const auto late = co_await self.leader("late");
    } catch (const std::system_error& error) {
        refused = error.code() == Errc::stopping ? "stopping" : error.what();
    }
    co_await say(self, refused);
}

TEST_CASE("a worker has up to 256 roles, of reasonable names, and none when it is to leave") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(greedy);
        auto said = co_await mail(app);
        CHECK(said.message.text == "queue_full");
        CHECK(said.message.number == 256);
        for (const char* const expected : {"too long", "stopping"}) {
            said = co_await mail(app);
            CHECK(said.message.text == expected);
        }
    });
}

} // namespace

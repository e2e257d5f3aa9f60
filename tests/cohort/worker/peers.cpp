// SPDX-License-Identifier: MIT
// Workers that talk to each other without the master.
#include <cohort/master.hpp>

#include "support/cluster.hpp"

#include <csignal>
#include <vector>

using namespace test;

namespace {

/// Tells the master what it hears from others.
Task<> listen_to(App::Worker& self, WorkerId from, Channel<Note> channel) {
    while (const auto note = co_await channel.receive()) co_await say(self, note->text, from * 1000 + note->number);
    co_await say(self, "end of", from);
}

template <class Via>
Task<> answer_peers(App::Worker& self) {
    struct Run {
        static Task<Note> answer(const Note& note) {
            const Note answer{note.text + "!", note.number + 1};
            co_return answer;
        }
        static Task<> serve(Channel<Note, Via> channel) { co_await channel.serve(&answer); }
    };
    while (auto peer = co_await self.template accept_peer<Note, Via>())
        spawn(self.context(), Run::serve(std::move(peer->channel)));
}

Task<> hear(App::Worker& self) {
    while (auto peer = co_await self.accept_peer<Note>())
        spawn(self.context(), listen_to(self, peer->from, std::move(peer->channel)));
}

/// Calls the worker whose number it is told, so many times.
template <class Via>
Task<> call_other(App::Worker& self) {
    const auto order = co_await self.receive();
    auto channel = co_await self.template connect<Note, Via>(static_cast<WorkerId>(order->number));
    std::int64_t right = 0;
    for (std::int64_t i = 0; i < 100; ++i) {
        const Note question{"hello", i};
        const auto answer = co_await channel.call(question, limit);
        right += answer.text == "hello!" && answer.number == i + 1;
    }
    co_await say(self, "right", right);
}

TEST_CASE_TEMPLATE("two workers that the master introduces call each other", Via, UnixStream, SharedMemory) {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId first = app.spawn(answer_peers<Via>);
        const WorkerId second = app.spawn(call_other<Via>);
        co_await tell(app, second, "call", first);
        const auto result = co_await mail(app);
        CHECK(result.from == second);
        CHECK(result.message.number == 100);
    });
}

TEST_CASE("everybody may talk to everybody, knows who it is, and sees the end of the other") {
    struct Run {
        static Task<> greet_all(App::Worker& self) {
            spawn(self.context(), hear(self));
            std::vector<Channel<Note>> channels;
            while (const auto order = co_await self.receive()) {
                channels.push_back(co_await self.connect<Note>(static_cast<WorkerId>(order->number)));
                const Note note{"I am", self.id()};
                co_await channels.back().send(note);
            }
        }
    };
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        std::vector<WorkerId> workers;
        for (int i = 0; i < 3; ++i) workers.push_back(app.spawn(&Run::greet_all));
        for (const WorkerId a : workers)
            for (const WorkerId b : workers)
                if (a != b) co_await tell(app, a, "greet", b);
        int greetings = 0;
        while (greetings < 6) {
            const auto heard = co_await mail(app);
            CHECK(heard.message.text == "I am");
            CHECK(heard.message.number / 1000 == heard.message.number % 1000); // said by whom the master introduced
            ++greetings;
        }
        app.kill(workers[0], SIGKILL);
        for (int i = 0; i < 2; ++i) {
            const auto heard = co_await mail(app);
            CHECK(heard.message.text == "end of");
            CHECK(heard.message.number == workers[0]);
        }
    });
}

TEST_CASE("a worker that is not there, or is oneself, cannot be talked to") {
    struct Run {
        static Task<> ask_for(App::Worker& self) {
            while (const auto order = co_await self.receive()) {
                std::int64_t code = 0;
                try {
                    static_cast<void>(co_await self.connect<Note>(static_cast<WorkerId>(order->number)));
                } catch (const std::system_error& error) {
                    code = error.code() == Errc::no_such_worker ? 1 : 2;
                }
                co_await say(self, "error", code);
            }
        }
    };
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(&Run::ask_for);
        for (const std::int64_t other : {std::int64_t{0}, std::int64_t{99}, static_cast<std::int64_t>(worker)}) {
            co_await tell(app, worker, "connect", other);
            const auto answer = co_await mail(app);
            CHECK(answer.message.number == 1);
        }
    });
}

TEST_CASE("different message types fail at both workers") {
    struct Run {
        static Task<> expect_numbers(App::Worker& self) {
            auto peer = co_await self.accept_peer<int>();
            std::int64_t code = 0;
            try {
                static_cast<void>(co_await peer->channel.receive());
            } catch (const std::system_error& error) {
                code = error.code() == Errc::schema_mismatch;
            }
            co_await say(self, "mismatch", code);
        }
        static Task<> send_notes(App::Worker& self) {
            const auto order = co_await self.receive();
            auto channel = co_await self.connect<Note>(static_cast<WorkerId>(order->number));
            std::int64_t code = 0;
            try {
                static_cast<void>(co_await channel.receive());
            } catch (const std::system_error& error) {
                code = error.code() == Errc::schema_mismatch;
            }
            co_await say(self, "mismatch", code);
        }
    };
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId first = app.spawn(&Run::expect_numbers);
        const WorkerId second = app.spawn(&Run::send_notes);
        co_await tell(app, second, "connect", first);
        for (int i = 0; i < 2; ++i) {
            const auto said = co_await mail(app);
            CHECK(said.message.number == 1);
        }
    });
}

TEST_CASE("a broadcast to some reaches these and passes over those that have gone") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        std::vector<WorkerId> workers;
        for (int i = 0; i < 4; ++i) workers.push_back(app.spawn(echo<App::Worker>));
        app.kill(workers[0], SIGKILL);
        co_await end_of(app, workers[0]);
        const std::vector<WorkerId> some{workers[0], workers[1], workers[3], 99};
        const Note note{"to some"};
        co_await app.broadcast(note, some);
        const Note last{"to all"};
        co_await app.broadcast(last);
        int of_some = 0;
        int of_all = 0;
        while (of_all < 3) {
            const auto reply = co_await mail(app);
            const bool is_some = reply.message.text == "to some";
            of_some += is_some;
            of_all += !is_some;
            if (is_some) CHECK((reply.from == workers[1] || reply.from == workers[3]));
        }
        CHECK(of_some == 2);
    });
}

} // namespace

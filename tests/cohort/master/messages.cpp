// SPDX-License-Identifier: MIT
// Messages between a master and its workers: both ways, in order, complete, and after mistakes.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <variant>

#include <sys/socket.h>

using namespace test;

namespace {

Task<std::error_code> error_of_send(App& app, WorkerId worker, Note note) {
    try {
        co_await app.send(worker, note);
    } catch (const std::system_error& error) {
        co_return error.code();
    }
    co_return std::error_code{};
}

TEST_CASE("messages go both ways, and the master knows from whom they are") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId first = app.spawn(echo<App::Worker>);
        const WorkerId second = app.spawn(echo<App::Worker>);
        co_await tell(app, first, "to the first", 1);
        co_await tell(app, second, "to the second", 2);
        std::map<WorkerId, Note> replies;
        for (int i = 0; i < 2; ++i) {
            auto reply = co_await mail(app);
            replies[reply.from] = std::move(reply.message);
        }
        CHECK(replies[first].text == "to the first");
        CHECK(replies[second].text == "to the second");
        CHECK(replies[second].number == 2);
    });
}

TEST_CASE("a message sent before the worker is even online arrives") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(echo<App::Worker>);
        co_await tell(app, worker, "early");
        const auto reply = co_await mail(app);
        CHECK(reply.message.text == "early");
    });
}

using Typed = Master<Duplex<int, std::variant<std::string, double>>, RoundRobin>;

Task<> answer_numbers(Typed::Worker& self) {
    while (const auto number = co_await self.receive()) {
        const Typed::ToMaster text = std::to_string(*number);
        const Typed::ToMaster half = *number / 2.0;
        co_await self.send(text);
        co_await self.send(half);
    }
}

TEST_CASE("each direction has its own static type, also one of several kinds") {
    in_master<Typed>(plain_options(), [](Typed& app) -> Task<> {
        const WorkerId worker = app.spawn(answer_numbers);
        const int seven = 7;
        co_await app.send(worker, seven);
        const auto text = co_await mail(app);
        const auto half = co_await mail(app);
        CHECK(std::get<std::string>(text.message) == "7");
        CHECK(std::get<double>(half.message) == 3.5);
    });
}

TEST_CASE("no message is special, whatever is in it") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(echo<App::Worker>);
        const std::vector<std::string> texts{"", "stop", "COHORT_WORKER", std::string("\0\1\2", 3), "NODE_HANDLE"};
        for (const auto& text : texts) {
            co_await tell(app, worker, text);
            const auto reply = co_await mail(app);
            CHECK(reply.message.text == text);
        }
    });
}

TEST_CASE("400 kB of multibyte text arrive unharmed both ways") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(echo<App::Worker>);
        std::string text;
        while (text.size() < 400'000) text += "\u3041\U0001F600\u00e9x";
        co_await tell(app, worker, text);
        const auto reply = co_await mail(app);
        CHECK((reply.message.text == text));
    });
}

TEST_CASE("four messages of 8 MiB arrive intact and in order") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(echo<App::Worker>);
        for (int i = 0; i < 4; ++i) {
            co_await tell(app, worker, std::string(8U << 20, static_cast<char>('a' + i)), i);
            const auto reply = co_await mail(app);
            CHECK(reply.message.number == i);
            CHECK((reply.message.text == std::string(8U << 20, static_cast<char>('a' + i))));
        }
    });
}

TEST_CASE("a message beyond the limit is refused to its sender, the next one arrives") {
    Options options = plain_options();
    options.max_message = 1000;
    in_master<App>(options, [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(echo<App::Worker>);
        const Note large{std::string(2000, 'x'), 0};
        const auto error = co_await error_of_send(app, worker, large);
        CHECK(error == Errc::message_too_large);
        co_await tell(app, worker, "small");
        const auto reply = co_await mail(app);
        CHECK(reply.message.text == "small");
    });
}

constexpr int many = 5'000;

Task<> count_up(App::Worker& self) {
    for (int i = 0; i < many; ++i) co_await say(self, "count", i);
}

TEST_CASE("the messages of each of four workers arrive complete and in order") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 4; ++i) app.spawn(count_up);
        std::map<WorkerId, std::int64_t> expected;
        bool in_order = true;
        while (const auto one = co_await app.receive())
            in_order = in_order && one->message.number == expected[one->from]++;
        CHECK(in_order);
        CHECK(expected == std::map<WorkerId, std::int64_t>{{1, many}, {2, many}, {3, many}, {4, many}});
    });
}

Task<> flood(App::Worker& self) {
    while (!self.stopping()) co_await say(self, "flood");
}

TEST_CASE("a worker that never stops talking does not keep the others from being heard") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(flood);
        const WorkerId quiet = app.spawn(echo<App::Worker>);
        co_await mail(app);
        co_await tell(app, quiet, "am I heard?");
        while (const auto one = co_await app.receive())
            if (one->from == quiet) break;
        CHECK(app.workers().size() == 2);
    });
}

TEST_CASE("a broadcast reaches every worker once, but for those that are leaving") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 4; ++i) app.spawn(echo<App::Worker>);
        app.disconnect(3);
        const Note note{"all", 0};
        co_await app.broadcast(note);
        std::multiset<WorkerId> from;
        for (int i = 0; i < 3; ++i) {
            const auto reply = co_await mail(app);
            from.insert(reply.from);
        }
        CHECK(from == std::multiset<WorkerId>{1, 2, 4});
        for (const WorkerId id : {1U, 2U, 4U}) app.disconnect(id);
        const auto none = co_await app.receive();
        CHECK_FALSE(none);
    });
}

TEST_CASE("a handler that throws does not stop later messages") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(count_up);
        int thrown = 0;
        for (int i = 0; i < 10; ++i) {
            try {
                const auto one = co_await mail(app);
                if (one.message.number == i) throw std::runtime_error("in the handler");
            } catch (const std::runtime_error&) {
                ++thrown;
            }
        }
        CHECK(thrown == 10);
    });
}

TEST_CASE("sending to a worker that has gone, or is leaving, is an error at once") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const Note note{"late", 0};
        const WorkerId worker = app.spawn(echo<App::Worker>);
        app.disconnect(worker);
        auto error = co_await error_of_send(app, worker, note);
        CHECK(error == Errc::closed);
        co_await end_of(app, worker);
        error = co_await error_of_send(app, worker, note);
        CHECK(error == Errc::no_such_worker);
    });
}

Task<> last_words(App::Worker& self) {
    co_await self.until_stopping();
    co_await say(self, "last words");
}

TEST_CASE("a worker that was asked to leave is still heard") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.disconnect(app.spawn(last_words));
        const auto words = co_await mail(app);
        CHECK(words.message.text == "last words");
    });
}

TEST_CASE("what was sent to a worker before it was asked to leave is still received by it") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(echo<App::Worker>);
        for (int i = 0; i < 100; ++i) co_await tell(app, worker, "before", i);
        app.disconnect(worker);
        int received = 0;
        while (const auto reply = co_await app.receive()) received += reply->message.number == received;
        CHECK(received == 100);
    });
}

template <int Type>
Task<> write_nonsense(App::Worker& self) {
    for (int fd = 3; fd < 1024; ++fd) {
        int type = 0;
        socklen_t size = sizeof type;
        sockaddr_storage address{};
        socklen_t length = sizeof address;
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != Type) continue;
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) continue;
        const std::string nonsense(64, '\xff');
        if (address.ss_family == AF_UNIX) ::send(fd, nonsense.data(), nonsense.size(), MSG_NOSIGNAL);
    }
    co_await self.until_stopping();
}

TEST_CASE("a worker that writes nonsense is ended with the reason, the master and its other workers live") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId good = app.spawn(echo<App::Worker>);
        const WorkerId bad = app.spawn(write_nonsense<SOCK_STREAM>);
        const WorkerId worse = app.spawn(write_nonsense<SOCK_SEQPACKET>);
        std::map<WorkerId, Event> ends;
        while (ends.size() < 2) {
            const Event end = co_await next(app, WorkerState::exited);
            ends[end.worker] = end;
        }
        CHECK(ends[bad].error == Errc::bad_frame);
        CHECK(ends[bad].status->signal() == SIGKILL);
        CHECK(ends[worse].error == Errc::bad_message);
        CHECK_FALSE(ends[worse].voluntary);
        co_await tell(app, good, "still there?");
        const auto reply = co_await mail(app);
        CHECK(reply.from == good);
    });
}

TEST_CASE("a master may be destroyed by whoever receives a message that was here before its worker's record") {
    static std::atomic<int>& said = make_shared_number();
    said = 0;
    asio::io_context io(1);
    std::optional<App> app(std::in_place, io, plain_options());
    bool received = false;
    struct Run {
        static Task<> receive(std::optional<App>& it, bool& done) {
            const auto letter = co_await it->receive();
            done = letter.has_value();
            it.reset();
        }
        static Task<> work(App::Worker& self) {
            co_await say(self, "early");
            said = 1;
            co_await self.until_stopping();
        }
    };
    spawn(io, Run::receive(app, received));
    io.poll();
    app->spawn(Run::work);
    CHECK(eventually([&] { return said == 1; })); // meanwhile the loop stands still
    io.restart();
    io.run_for(limit);
    CHECK(received);
}

} // namespace

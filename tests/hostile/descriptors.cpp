// SPDX-License-Identifier: MIT
// Descriptors that nobody has asked for: who sends them is ended before they are many.
#include <cohort/master.hpp>

#include <cohort/detail/system/fd_passing.hpp>

#include "support/handles.hpp"
#include "support/hostile.hpp"
#include "support/process.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <csignal>
#include <fcntl.h>
#include <sys/socket.h>

using namespace test;
using cohort::detail::FrameKind;
using cohort::detail::ReturnedConnection;
using cohort::detail::UniqueFd;

namespace {

std::size_t descriptors() { return open_descriptors().size(); }

/// So many copies of one end of a socket pair, or of a file.
class Many {
public:
    explicit Many(std::size_t count, bool file = false) {
        for (std::size_t i = 0; i < count; ++i) numbers_.push_back(file ? file_.get() : pair_.first.get());
    }
    operator std::span<const int>() const noexcept { return numbers_; }

private:
    std::pair<UniqueFd, UniqueFd> pair_ = cohort::detail::make_socketpair(SOCK_STREAM);
    UniqueFd file_{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    std::vector<int> numbers_;
};

std::vector<std::byte> bytes_of(std::size_t count) { return std::vector<std::byte>(count); }

/// The beginning of a message that says how many descriptors come with it, and more of it, with these each time.
void send_unfinished(Hostile& worker, std::uint16_t said, const Many& given, int pieces, std::size_t size) {
    auto bytes = frame(FrameKind::message, 0, bytes_of(10'000), said);
    bytes.resize(100);
    worker.send_channel(bytes, given);
    for (int i = 0; i < pieces; ++i) worker.send_channel(bytes_of(size), given);
}

struct Waste {
    std::string_view name;
    void (*go)(Hostile&);
    Errc error; // of its end
};

const Waste wastes[] = {
    {"200 descriptors with each byte of an unfinished message",
     [](Hostile& worker) { send_unfinished(worker, 200, Many(200), 1000, 1); }, Errc::bad_frame},
    {"one descriptor with each byte", [](Hostile& worker) { send_unfinished(worker, 1, Many(1), 5000, 1); },
     Errc::bad_frame},
    {"descriptors with a message that has none", [](Hostile& worker) { send_unfinished(worker, 0, Many(250), 50, 10); },
     Errc::bad_frame},
    {"connections that come back although none was given out",
     [](Hostile& worker) {
         for (int i = 0; i < 3000 && !worker.ended(); ++i) worker.tell(ReturnedConnection{0, Endpoint(0)}, Many(1));
     },
     Errc::bad_message},
    {"many connections that come back at once",
     [](Hostile& worker) {
         worker.tell(ReturnedConnection{0, Endpoint(0)}, Many(200));
     },
     Errc::bad_message},
    {"a file that comes back as a connection of a worker that leaves",
     [](Hostile& worker) {
         worker.tell(detail::Leaving{});
         worker.tell(ReturnedConnection{0, Endpoint(0), true}, Many(1, true));
     },
     Errc::bad_message},
    {"descriptors with what bears none", [](Hostile& worker) { worker.tell(detail::Ready{}, Many(200)); },
     Errc::bad_message},
    {"failures told again and again",
     [](Hostile& worker) {
         for (int i = 0; i < 3000 && !worker.ended(); ++i) worker.tell(detail::SetupFailed{1, "a step"});
     },
     Errc::bad_message},
};

const Waste* chosen_waste = nullptr;

template <class W>
Task<> attack(W& self) {
    const auto note = co_await self.receive();
    Hostile hostile(self);
    chosen_waste->go(hostile);
    while (!hostile.ended()) co_await pause(self.context(), 1ms);
}

template <class A, class Message>
Task<> be_attacked(A& app, Message begin) {
    const std::size_t before = descriptors();
    const WorkerId worker = app.spawn(attack<typename A::Worker>);
    co_await next(app, WorkerState::online);
    co_await app.send(worker, begin);
    std::size_t most = 0;
    auto end = end_of(app, worker);
    Event event;
    bool ended = false;
    struct Watch {
        static Task<> see(Task<Event> end, Event& event, bool& ended) {
            event = co_await std::move(end);
            ended = true;
        }
    };
    spawn(app.context(), Watch::see(std::move(end), event, ended));
    spawn(app.context(), drop_result(app.receive()));
    while (!ended) {
        most = std::max(most, descriptors());
        co_await pause(app.context(), 1ms);
    }
    CHECK(event.error == chosen_waste->error);
    CHECK(event.status->signal() == SIGKILL);
    // With the four of a worker; a message may have 250.
    CHECK(most < before + 550);
    co_await pause(app.context(), 1ms);
    CHECK(descriptors() <= before + 4);
}

} // namespace

TEST_CASE("a worker that sends descriptors nobody has asked for is ended") {
    for (const Waste& one : wastes) {
        CAPTURE(one.name);
        chosen_waste = &one;
        in_master<App>(plain_options(), [](App& app) { return be_attacked(app, Note{"begin", 1}); });
    }
}

TEST_CASE("the same, where messages may have descriptors") {
    for (const Waste& one : wastes) {
        CAPTURE(one.name);
        chosen_waste = &one;
        in_master<Loads>(plain_options(), [](Loads& app) { return be_attacked(app, Load{"begin", {}}); });
    }
}

namespace {

std::atomic<int>& asked = make_shared_number();

Task<> introduce_to(App::Worker& self) {
    const auto order = co_await self.receive();
    Hostile hostile(self);
    const auto other = static_cast<std::uint32_t>(order->number);
    for (std::uint32_t i = 1; !hostile.ended() && !self.stopping(); ++i) {
        if (hostile.tell(detail::ConnectPeer{i, other})) ++asked;
        hostile.read_answers();
    }
}

} // namespace

TEST_CASE("a worker that connects to a stopped one without end costs that one nothing, and the master little") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId stopped = app.spawn(echo<App::Worker>);
        const WorkerId hostile = app.spawn(introduce_to);
        co_await next(app, WorkerState::online);
        co_await next(app, WorkerState::online);
        const std::size_t before = descriptors();
        app.kill(stopped, SIGSTOP);
        co_await tell(app, hostile, "begin", stopped);
        while (asked < 1'000) co_await pause(app.context(), 1ms);
        CHECK(descriptors() < before + 80);
        app.kill(stopped, SIGCONT);
        co_await tell(app, stopped, "still there?");
        const auto reply = co_await mail(app);
        CHECK(reply.message.text == "still there?");
        app.kill_all();
        co_await app.until_finished();
    });
}

namespace {

Task<> answer(App::Worker::Peer<Note> peer) {
    try {
        while (auto mail = co_await peer.channel.receive_mail()) co_await mail->reply(mail->message);
    } catch (const std::system_error&) {
        // It has gone, as most of them here.
    }
}

/// Does not look at its visitors until it is told to.
Task<> open_late(App::Worker& self) {
    co_await self.receive();
    while (auto peer = co_await self.accept_peer<Note>()) spawn(self.context(), answer(std::move(*peer)));
}

Task<> visit(App::Worker& self) {
    const auto order = co_await self.receive();
    auto channel = co_await self.connect<Note>(static_cast<WorkerId>(order->number));
    co_await say(self, "connected");
    const Note question{"question", 1};
    const Note reply = co_await channel.call(question, limit);
    co_await say(self, reply.text);
}

/// In each of its lives as often as it may.
Task<> introduce_and_die(App::Worker& self) {
    Hostile hostile(self);
    for (std::uint32_t i = 1; i != 20 && !hostile.ended(); ++i) {
        if (hostile.tell(detail::ConnectPeer{i, 1})) ++asked;
        hostile.read_answers();
    }
    throw std::runtime_error("again");
    co_return;
}

template <bool Stopped>
Task<> shut_out(App& app) {
    asked = 0;
    const WorkerId host = app.spawn(open_late);
    const WorkerId hostile = app.spawn(introduce_to);
    const WorkerId honest = app.spawn(visit);
    for (int i = 0; i != 3; ++i) co_await next(app, WorkerState::online);
    if (Stopped) app.kill(host, SIGSTOP);
    co_await tell(app, hostile, "begin", host);
    while (asked < 1'000) co_await pause(app.context(), 1ms);
    co_await tell(app, honest, "visit", host);
    const auto connected = co_await mail(app);
    CHECK(connected.message.text == "connected");
    if (Stopped) app.kill(host, SIGCONT);
    co_await tell(app, host, "open");
    const auto reply = co_await mail(app);
    CHECK(reply.message.text == "question");
    app.kill_all();
    co_await app.until_finished();
}

} // namespace

TEST_CASE("a worker that connects to another without end shuts out none that connects to it once") {
    SUBCASE("while it accepts nobody") { in_master<App>(plain_options(), shut_out<false>); }
    SUBCASE("while it is stopped") { in_master<App>(plain_options(), shut_out<true>); }
}

TEST_CASE("a worker that connects to a stopped one, dies and starts again has no more of it than one that lives on") {
    Options options = permanent_options();
    options.backoff = {.stable = 0ms}; // each successor starts at once
    in_master<App>(options, [](App& app) -> Task<> {
        asked = 0;
        const WorkerId host = app.spawn(open_late);
        const WorkerId honest = app.spawn(visit);
        REQUIRE(host == 1);
        co_await next(app, WorkerState::online);
        co_await next(app, WorkerState::online);
        const std::size_t before = descriptors();
        app.kill(host, SIGSTOP);
        app.spawn(introduce_and_die);
        while (asked < 2'000) co_await pause(app.context(), 1ms);
        CHECK(descriptors() < before + 80);
        co_await tell(app, honest, "visit", host);
        const auto connected = co_await mail(app);
        CHECK(connected.message.text == "connected");
        app.kill_all();
        co_await app.until_finished();
    });
}

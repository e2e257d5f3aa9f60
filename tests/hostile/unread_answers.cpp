// SPDX-License-Identifier: MIT
// Who asks and asks, and reads no answers: what that costs whoever is asked.
#include <cohort/master.hpp>

#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/serialize.hpp>

#include "support/child.hpp"
#include "support/hostile.hpp"
#include "support/process.hpp"
#include "support/run_for.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <csignal>

using namespace test;
using cohort::detail::FrameKind;
using cohort::detail::UniqueFd;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t megabyte = 1 << 20;
constexpr auto attack_time = 2s;

std::vector<std::byte> note_frames(FrameKind kind, std::size_t size, int count) {
    const Note note{std::string(size, 'x'), 1};
    cohort::detail::Buffer payload;
    encode(note, payload);
    std::vector<std::byte> bytes;
    for (int i = 0; i < count; ++i) {
        const auto one = frame(kind, static_cast<std::uint64_t>(i) + 1, payload.bytes());
        bytes.insert(bytes.end(), one.begin(), one.end());
    }
    return bytes;
}

std::vector<std::byte> note_hello() {
    constexpr auto schema = cohort::detail::Schema::of<Note>();
    cohort::detail::Buffer payload;
    encode(cohort::detail::greeting_of(schema), payload);
    return frame(FrameKind::hello, 0, payload.bytes());
}

/// Sends the same over and over until it is killed, as fast as the other side takes it, and reads nothing.
int ask_for_ever(int socket, FrameKind kind, std::size_t size) {
    Hostile hostile(-1, socket);
    hostile.send_whole(note_hello());
    const auto bytes = note_frames(kind, size, 500);
    while (!hostile.ended()) hostile.send_whole(bytes);
    return 0;
}

Task<Note> same(const Note& note) { co_return note; }

Task<> receive_all(Channel<Note>& channel) {
    while (const auto note = co_await channel.receive()) {
    }
}

Task<> reply_to_all(Channel<Note>& channel) {
    while (auto mail = co_await channel.receive_mail()) {
        const Note note = mail->message;
        co_await mail->reply(note);
    }
}

Task<> fail_all(Channel<Note>& channel) {
    while (auto mail = co_await channel.receive_mail()) mail->fail("for a reason that is told in some forty letters");
}

Task<> serve_all(Channel<Note>& channel) { return channel.serve(same); }

struct Silence {
    std::string_view name;
    FrameKind kind;
    std::size_t size; // of the text in each message
    Task<> (*victim)(Channel<Note>&);
};

const Silence silences[] = {
    {"acked messages, receive()", FrameKind::acked, 10, &receive_all},
    {"calls that receive() leaves unanswered", FrameKind::call, 10, &receive_all},
    {"calls, and a reply to each", FrameKind::call, 10, &reply_to_all},
    {"large calls, and a reply to each", FrameKind::call, 100'000, &reply_to_all},
    {"calls that all fail", FrameKind::call, 10, &fail_all},
    {"calls, serve()", FrameKind::call, 10, &serve_all},
    {"large calls, serve()", FrameKind::call, 1'000, &serve_all},
};

void show(std::string_view name, std::int64_t grown) {
    if (std::getenv("COHORT_SHOW") == nullptr) return;
    std::printf("%-60s %8.1f MB\n", std::string(name).c_str(), static_cast<double>(grown) / megabyte);
}

/// The victim runs in a process of its own, whose memory is measured from there. Gives megabytes, or what went wrong.
int memory_of_victim(const Silence& attack) {
    auto [mine, others] = cohort::detail::make_socketpair(SOCK_STREAM);
    const pid_t attacker = fork_child([&] {
        mine.reset();
        return ask_for_ever(others.get(), attack.kind, attack.size);
    });
    others.reset();
    asio::io_context io(1);
    auto channel = Channel<Note>::accepted(io.get_executor(), std::move(mine), {});
    start(io, attack.victim(channel));
    const auto before = resident();
    auto most = before;
    const auto end = Clock::now() + attack_time;
    while (Clock::now() < end) {
        io.run_for(10ms);
        most = std::max(most, resident());
    }
    channel.close();
    ::kill(attacker, SIGKILL);
    wait_for(attacker);
    settle(io);
    return static_cast<int>((most - before) / megabyte);
}

} // namespace

TEST_CASE("a peer that reads no answers is not answered without end") {
    for (const Silence& attack : silences) {
        CAPTURE(attack.name);
        const int grown = in_child([&] { return std::min(90, memory_of_victim(attack)); });
        show(attack.name, grown * megabyte);
        CHECK(grown >= 0);
        CHECK(grown < 40);
    }
}

namespace {

std::atomic<int>& taken = make_shared_number(); // of what the worker below has sent

/// The same, said by a worker to its master.
Task<> ask_without_reading(App::Worker& self) {
    Hostile hostile(self);
    const auto bytes = note_frames(FrameKind::call, 10, 500);
    while (!hostile.ended() && hostile.send_whole(bytes)) ++taken;
    co_return;
}

/// Asks the master again and again; says how often it was answered.
Task<> ask_politely(App::Worker& self) {
    const Note note{"polite", 1};
    while (!self.stopping()) co_await self.call(note);
}

Task<Note> count_and_answer(int& answered, const App::Mail& mail) {
    if (mail.message.text == "polite") ++answered;
    co_return mail.message;
}

struct Counted {
    Task<Note> operator()(const App::Mail& mail) const { return count_and_answer(*answered, mail); }
    int* answered;
};

Task<> answer_and_count(App& app, int& answered) {
    while (auto mail = co_await app.receive()) {
        const Note note = mail->message;
        if (note.text == "polite") ++answered;
        co_await mail->reply(note);
    }
}

/// Until the one who reads nothing stands still while the other is answered, or has made the master grow.
Task<> until_it_stands(const int& answered, std::int64_t most) {
    int before = -1;
    for (int begin = 0; answered < begin + 100 && resident() < most; co_await sleep_for(1ms)) {
        if (std::exchange(before, taken.load()) != taken) begin = answered;
    }
}

} // namespace

TEST_CASE("a worker that reads no answers costs the master little, and others are answered") {
    for (const bool serves : {false, true}) {
        CAPTURE(serves);
        in_master<App>(plain_options(), [serves](App& app) -> Task<> {
            static int answered;
            answered = 0;
            app.spawn(ask_without_reading);
            app.spawn(ask_politely);
            const auto before = resident();
            if (serves)
                spawn(app.context(), app.serve(Counted{&answered}));
            else
                spawn(app.context(), answer_and_count(app, answered));
            co_await until_it_stands(answered, before + 40 * megabyte);
            show(serves ? "Master::serve" : "Master::receive", resident() - before);
            CHECK(resident() - before < 40 * megabyte);
            app.kill_all();
            co_await app.until_finished();
        });
    }
}

namespace {

/// What a worker may ask on its control link.
using Ask = bool (*)(Hostile&, std::uint32_t number);

struct Question {
    std::string_view name;
    Ask ask;
};

const Question questions[] = {
    {"Bind",
     [](Hostile& worker, std::uint32_t i) {
         return worker.tell(detail::Bind{i, Endpoint(0)});
     }},
    {"Bind, refused",
     [](Hostile& worker, std::uint32_t i) {
         return worker.tell(detail::Bind{i, Endpoint::tcp("192.0.2.1", 1)});
     }},
    {"Listen",
     [](Hostile& worker, std::uint32_t i) {
         return worker.tell(detail::Listen{i, Endpoint(0)});
     }},
    {"ConnectPeer, the bus",
     [](Hostile& worker, std::uint32_t i) {
         return worker.tell(detail::ConnectPeer{i, 0});
     }},
    {"ConnectPeer, nobody",
     [](Hostile& worker, std::uint32_t i) {
         return worker.tell(detail::ConnectPeer{i, 77});
     }},
    {"Campaign",
     [](Hostile& worker, std::uint32_t i) {
         return worker.tell(detail::Campaign{i, std::string(1000, 'r') + std::to_string(i)});
     }},
};

const Question* chosen_question = nullptr;

Task<> ask_on_the_link(App::Worker& self) {
    Hostile hostile(self);
    for (std::uint32_t i = 1; !hostile.ended(); ++i) chosen_question->ask(hostile, i);
    co_return;
}

Task<> ask_on_the_link_reading(App::Worker& self) {
    Hostile hostile(self);
    for (std::uint32_t i = 1; !hostile.ended() && !self.stopping(); ++i) {
        chosen_question->ask(hostile, i);
        hostile.read_answers();
    }
    co_return;
}

/// The descriptors that this process has.
std::size_t descriptors_open() { return open_descriptors().size(); }

} // namespace

TEST_CASE("a worker that asks on its control link and reads no answers is ended, and costs no more than a few") {
    for (const Question& question : questions) {
        CAPTURE(question.name);
        chosen_question = &question;
        Options options = plain_options();
        options.listen = {Endpoint(0)};
        in_master<App>(options, [&question](App& app) -> Task<> {
            const auto memory = resident();
            const std::size_t before = descriptors_open();
            const WorkerId worker = app.spawn(ask_on_the_link);
            const Event end = co_await end_of(app, worker);
            CHECK(end.error == Errc::too_many);
            CHECK(end.status->signal() == SIGKILL);
            CHECK(descriptors_open() < before + 160);
            show(std::string(question.name) + ": " + std::to_string(descriptors_open() - before) + " descriptors_open",
                 resident() - memory);
            CHECK(resident() - memory < 16 * megabyte);
        });
    }
}

TEST_CASE("however often a worker asks, the master does not run out of descriptors, and others are served") {
    for (const Question& question : questions) {
        CAPTURE(question.name);
        chosen_question = &question;
        in_master<App>(plain_options(), [&question](App& app) -> Task<> {
            const auto memory = resident();
            const std::size_t before = descriptors_open();
            app.spawn(ask_on_the_link_reading);
            const WorkerId other = app.spawn(echo<App::Worker>);
            std::size_t most = 0;
            for (int i = 0; i < 50; ++i) {
                const Note note{"are you there", i};
                co_await app.send(other, note);
                const auto reply = co_await mail(app);
                CHECK(reply.message.number == i);
                most = std::max(most, descriptors_open());
                co_await pause(app.context(), 10ms);
            }
            show(std::string(question.name) + ", reading: " + std::to_string(most - before) + " descriptors_open",
                 resident() - memory);
            CHECK(most < before + cohort::detail::share_of_descriptors() * 2 + 64);
            CHECK(resident() - memory < 32 * megabyte);
            app.kill_all();
            co_await app.until_finished();
        });
    }
}

// SPDX-License-Identifier: MIT
// A worker that was taken over and says whatever it likes, in whatever order; the victim is its master.
#include <cohort/master.hpp>

#include <cohort/detail/channel/bus_message.hpp>
#include <cohort/detail/system/fd_passing.hpp>

#include "support/hostile.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <csignal>
#include <sys/socket.h>

using namespace test;
using cohort::detail::FrameKind;
using cohort::detail::UniqueFd;

namespace {

using Clock = std::chrono::steady_clock;

#if defined(COHORT_SANITIZED) // many times slower
constexpr std::int64_t usual_actions = 20'000;
#else
constexpr std::int64_t usual_actions = 100'000;
#endif

/// How many in all; another number makes the run as long as one likes.
std::int64_t wanted_actions() {
    const char* const text = std::getenv("COHORT_HOSTILE_ACTIONS");
    return text == nullptr ? usual_actions : std::atoll(text);
}

/// Dice, and what they make of them.
class Attacker {
public:
    Attacker(Hostile hostile, std::uint64_t seed, Counter actions)
        : hostile_(hostile), dice_(seed), actions_(std::move(actions)) {}

    bool ended() const noexcept { return hostile_.ended(); }
    /// A few of one kind: single ones, or a flood.
    void act() {
        static constexpr void (Attacker::*kinds[])() = {
            &Attacker::say_in_disorder, &Attacker::say_in_disorder, &Attacker::say_in_disorder, &Attacker::say_anything,
            &Attacker::pass_anything,   &Attacker::send_frames,     &Attacker::send_frames,     &Attacker::send_bytes,
            &Attacker::reach_the_bus,   &Attacker::return_something};
        reads_ = roll(4) != 0;
        const auto kind = kinds[roll(std::size(kinds))];
        const std::uint64_t count = roll(20) == 0 ? 1000 : 1 + roll(20);
        for (std::uint64_t i = 0; i < count && !ended(); ++i) {
            (this->*kind)();
            actions_.add();
            if (reads_) hostile_.read_answers();
        }
    }

private:
    std::uint64_t roll(std::uint64_t sides) { return dice_() % sides; }
    /// Likely a small number, or one at the edge of what there is.
    std::uint32_t number() {
        switch (roll(4)) {
            case 0: return static_cast<std::uint32_t>(dice_());
            case 1: return 0xffffffff - static_cast<std::uint32_t>(roll(2));
            default: return static_cast<std::uint32_t>(roll(8));
        }
    }
    std::vector<std::byte> noise(std::size_t size) {
        std::vector<std::byte> bytes(size);
        std::ranges::generate(bytes, [this] { return static_cast<std::byte>(roll(256)); });
        return bytes;
    }
    std::string text() { return std::string(roll(3) == 0 ? 2000 : roll(20), static_cast<char>(roll(256))); }
    Endpoint endpoint() {
        switch (roll(5)) {
            case 0: return Endpoint(0);
            case 1: return Endpoint::tcp("127.0.0.1", static_cast<std::uint16_t>(roll(65536)));
            case 2: return Endpoint::tcp("192.0.2.1", 1);
            case 3: return Endpoint::unix_path("/nowhere/at/all");
            default: return Endpoint::inherited(static_cast<int>(number() & 0x7fffffff));
        }
    }

    /// Messages that there are, with numbers that may not be, and not in their order.
    void say_in_disorder() {
        using namespace cohort::detail;
        switch (roll(14)) {
            case 0:
                if (roll(200) == 0) hostile_.tell(Online{dice_(), dice_()});
                break;
            case 1: hostile_.tell(Listen{number(), endpoint()}); break;
            case 2: hostile_.tell(Unlisten{number()}); break;
            case 3: hostile_.tell(Lost{number(), dice_() >> roll(64), number()}); break;
            case 4: hostile_.tell(Took{number()}); break;
            case 5: hostile_.tell(ConnectPeer{number(), number()}); break;
            case 6: hostile_.tell(Announced{endpoint()}); break;
            case 7: hostile_.tell(Bind{number(), endpoint()}); break;
            case 8: hostile_.tell(Unbind{number()}); break;
            case 9: hostile_.tell(Ready{}); break;
            case 10: hostile_.tell(Campaign{number(), text()}); break;
            case 11: hostile_.tell(Resign{number()}); break;
            case 12:
                if (roll(200) == 0) hostile_.tell(Leaving{});
                break;
            default:
                if (roll(200) == 0) hostile_.tell(SetupFailed{static_cast<std::int32_t>(number()), text()});
        }
    }
    /// Most of it is no message at all, so it is the end.
    void say_anything() {
        if (roll(100) != 0) return say_in_disorder();
        hostile_.send_control(noise(1 + roll(9000)));
    }
    void pass_anything() {
        if (roll(100) != 0) return say_in_disorder();
        const std::vector<int> numbers(1 + roll(200), pair_.first.get());
        if (roll(2) == 0)
            hostile_.tell(detail::Ready{}, numbers);
        else
            hostile_.send_channel(note(FrameKind::message), numbers);
    }
    void return_something() {
        if (roll(100) != 0) return say_in_disorder();
        const int number = pair_.first.get();
        hostile_.tell(detail::ReturnedConnection{this->number(), endpoint(), roll(2) == 0, text()},
                      std::span(&number, 1));
    }

    std::vector<std::byte> note(FrameKind kind) {
        const Note note{text(), 1};
        detail::Buffer payload;
        encode(note, payload);
        return frame(kind, roll(4) == 0 ? dice_() : roll(100), payload.bytes());
    }
    /// Frames of the channel that are right by themselves.
    void send_frames() {
        switch (roll(7)) {
            case 0:
            case 1: hostile_.send_channel(note(FrameKind::message)); break;
            case 2: hostile_.send_channel(note(FrameKind::acked)); break;
            case 3:
            case 4: hostile_.send_channel(note(FrameKind::call)); break;
            case 5: hostile_.send_channel(frame(FrameKind::cancel, roll(100))); break;
            default: hostile_.send_channel(note(FrameKind::reply)); break;
        }
    }
    void send_bytes() {
        if (roll(100) != 0) return send_frames();
        if (roll(2) == 0) hostile_.send_channel(noise(1 + roll(5000)));
        // A frame of any kind and length, and then nothing of it.
        const detail::FrameHeader header{number(), static_cast<FrameKind>(roll(12)),
                                         static_cast<std::uint16_t>(roll(2) * roll(300)), dice_()};
        hostile_.send_channel(std::as_bytes(std::span(&header, 1)));
    }

    /// A connection to the bus, on which it says something.
    void reach_the_bus() {
        if (roll(10) != 0) return say_in_disorder();
        hostile_.tell(detail::ConnectPeer{7, 0});
        std::vector<std::byte> buffer(8192);
        std::error_code error;
        auto answer = detail::receive_datagram(hostile_.control(), buffer, error);
        if (error || answer.descriptors.empty()) return;
        Hostile bus(-1, answer.descriptors.front().get());
        constexpr auto schema = detail::Schema::of<detail::Published>();
        detail::Buffer hello;
        encode(detail::greeting_of(schema), hello);
        bus.send_channel(frame(FrameKind::hello, 0, hello.bytes()));
        for (std::uint64_t i = 1 + roll(20); i > 0; --i) {
            const detail::Published published{.topic = roll(2) == 0 ? "news" : text(),
                                              .type = dice_(),
                                              .payload = text(),
                                              .subscribes = roll(3) == 0,
                                              .slow = static_cast<SlowSubscriber>(roll(5)),
                                              .waits = roll(2) == 0};
            detail::Buffer payload;
            encode(published, payload);
            bus.send_channel(frame(roll(2) == 0 ? FrameKind::call : FrameKind::message, i, payload.bytes()));
        }
        if (roll(2) == 0) return;
        kept_.push_back(std::move(answer.descriptors.front())); // never read
        if (kept_.size() > 50) kept_.clear();
    }

    Hostile hostile_;
    std::mt19937_64 dice_;
    Counter actions_;
    std::pair<UniqueFd, UniqueFd> pair_ = detail::make_socketpair(SOCK_STREAM);
    std::vector<UniqueFd> kept_;
    bool reads_ = true;
};

Task<> attack_at_random(App::Worker& self) {
    Attacker attacker(Hostile(self), 1000003 * self.id(), self.counter("actions_total"));
    while (!attacker.ended()) attacker.act();
    co_return;
}

Task<Note> same(const App::Mail& mail) { co_return mail.message; }

struct Same {
    Task<Note> operator()(const App::Mail& mail) const { return same(mail); }
};

Task<Note> give_back(const Note& note) { co_return note; }

Task<> serve_polite(App::Worker& self) { return self.serve(give_back); }

struct Seen {
    std::vector<std::chrono::microseconds> answers; // of the polite worker, how long each took
    std::int64_t memory = 0;
    std::size_t descriptors = 0;

    void look() {
        memory = std::max(memory, resident());
        descriptors = std::max(descriptors, open_descriptors().size());
    }
    std::chrono::microseconds percentile(std::size_t hundredths) {
        const auto place = answers.begin() + static_cast<std::ptrdiff_t>((answers.size() - 1) * hundredths / 100);
        std::ranges::nth_element(answers, place);
        return *place;
    }
};

/// Asks the polite worker until the others have done enough.
Task<> ask_until_enough(App& app, WorkerId polite, Counter actions, Seen& seen) {
    const std::int64_t enough = wanted_actions();
    auto shown = Clock::now();
    for (std::int64_t i = 0; actions.value() < enough; ++i) {
        while (app.workers().size() < 3) app.spawn(attack_at_random);
        const Note note{"are you there", i};
        const auto begin = Clock::now();
        const auto reply = co_await app.call(polite, note, 20s);
        seen.answers.push_back(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin));
        CHECK(reply.number == i);
        if (i % 16 == 0) seen.look();
        if (seen.answers.size() == 1'000'000) seen.answers.resize(500'000);
        if (std::getenv("COHORT_HOSTILE_ACTIONS") != nullptr && Clock::now() - shown > 60s) {
            shown = Clock::now();
            std::printf("%lld actions, %lld MB, %zu descriptors\n", static_cast<long long>(actions.value()),
                        static_cast<long long>(resident() >> 20), open_descriptors().size());
            std::fflush(stdout);
        }
        co_await pause(app.context(), 1ms);
    }
}

Task<> drop_events(App& app) {
    while (const auto event = co_await app.next_event()) {
    }
}

} // namespace

TEST_CASE("whatever two workers do on their sockets, their master is well and a third is served") {
    Options options = plain_options();
    options.grace = 200ms;
    asio::io_context io(1);
    App app(io, options);
    Seen seen;
    const auto memory = resident();
    const WorkerId polite = app.spawn(serve_polite);
    const std::size_t descriptors = open_descriptors().size();
    spawn(io, app.serve(Same{}));
    spawn(io, drop_events(app));
    std::fflush(stderr);
    bool done = false;
    spawn(io, ask_until_enough(app, polite, app.counter("actions_total"), seen), [&](std::exception_ptr failure) {
        CHECK_FALSE(failure);
        done = true;
    });
    const auto longest = wanted_actions() > usual_actions ? 24h : 60s;
    const auto deadline = Clock::now() + longest;
    while (!done && Clock::now() < deadline) io.run_one_for(1s);
    CHECK(done);
    app.kill_all();
    REQUIRE_FALSE(seen.answers.empty());
    const auto median = seen.percentile(50);
    const auto late = seen.percentile(99);
    if (std::getenv("COHORT_SHOW") != nullptr || std::getenv("COHORT_HOSTILE_ACTIONS") != nullptr)
        std::printf("%zu answers: median %ld us, 99th percentile %ld us; %ld MB more, %ld descriptors more\n",
                    seen.answers.size(), static_cast<long>(median.count()), static_cast<long>(late.count()),
                    static_cast<long>((seen.memory - memory) >> 20),
                    static_cast<long>(seen.descriptors) - static_cast<long>(descriptors));
    CHECK(late < 1s);
    CHECK(seen.memory - memory < (std::int64_t{128} << 20));
    CHECK(seen.descriptors < descriptors + 2 * (3 * cohort::detail::share_of_descriptors() + 600));
}

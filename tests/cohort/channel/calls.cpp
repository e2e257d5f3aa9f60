// SPDX-License-Identifier: MIT
#include <cohort/channel.hpp>
#include <cohort/detail/system/fd_passing.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/run_for.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/socket.h>

using namespace std::chrono_literals;
using cohort::Channel;
using cohort::Errc;
using cohort::Task;

namespace calls {

struct Question {
    std::uint64_t number = 0;
    std::string text;
};

struct Answer {
    std::uint64_t number = 0;
    std::string text;
};

} // namespace calls

using calls::Answer;
using calls::Question;

namespace {

using Asking = Channel<cohort::Duplex<Question, Answer>>;
using Answering = Asking::Peer;

constexpr auto soon = 50ms; // a timeout that is to pass

struct Asked {
    std::vector<Answer> answers;
    std::error_code error;
    std::string what;
    bool done = false;
};

Task<> ask(Asking& channel, std::uint64_t number, Asked& outcome, cohort::Timeout timeout = test::patience) {
    try {
        const Question question{number, std::string(number % 300, 'q')};
        auto answer = co_await channel.call(question, timeout);
        outcome.answers.push_back(std::move(answer));
    } catch (const std::system_error& error) {
        outcome.error = error.code();
        outcome.what = error.what();
    }
    outcome.done = true;
}

Task<Answer> answer_at_once(const Question& question) {
    const Answer answer{question.number, question.text + "!"};
    co_return answer;
}

Task<Answer> fail_always(const Question& question) {
    if (question.number != 7) throw std::runtime_error("no answer to " + std::to_string(question.number));
    throw 7;
}

Task<> fail_later(std::uint64_t number) {
    co_await test::yield();
    throw std::runtime_error("no answer to " + std::to_string(number));
}

/// Both of two tasks beside each other throw.
Task<Answer> fail_twice(const Question& question) {
    co_await test::both(fail_later(question.number), fail_later(question.number));
    co_return Answer{};
}

/// Waits for ever, and notes how it ended.
struct Patient {
    std::shared_ptr<int> begun = std::make_shared<int>(0);
    std::shared_ptr<int> ended = std::make_shared<int>(0);

    Task<Answer> operator()(const Question&) const { return wait(begun, ended); }

    static Task<Answer> wait(std::shared_ptr<int> begun, std::shared_ptr<int> ended) {
        struct Count {
            int& number;
            ~Count() { ++number; }
        } count{*ended};
        ++*begun;
        co_await test::sleep_for(1h);
        throw std::logic_error("an hour has passed");
    }
};

struct Pair {
    explicit Pair(cohort::ChannelLimits limits = {}) : ends(Asking::pair(io.get_executor(), limits)) {}
    ~Pair() {
        a.close();
        b.close();
        test::settle(io);
    }

    asio::io_context io;
    std::pair<Asking, Answering> ends;
    Asking& a = ends.first;
    Answering& b = ends.second;
};

} // namespace

TEST_CASE("each of thousands of calls under way gets its own reply, in whatever order they come") {
    struct Run {
        /// Collects all calls first, then answers them in random order.
        static Task<> answer_shuffled(Answering& channel, std::size_t count) {
            std::vector<Answering::Mail> mails;
            while (mails.size() < count) {
                auto mail = co_await channel.receive_mail();
                mails.push_back(std::move(*mail));
            }
            std::ranges::shuffle(mails, std::mt19937(7));
            for (auto& mail : mails) {
                CHECK(mail.expects_reply());
                const Answer answer{mail.message.number, mail.message.text};
                co_await mail.reply(answer);
                CHECK_FALSE(mail.expects_reply());
            }
        }
        static Task<> ask_one(Asking& channel, std::uint64_t number, std::uint64_t& right) {
            Asked outcome;
            co_await ask(channel, number, outcome);
            right += outcome.answers.size() == 1 && outcome.answers[0].number == number &&
                     outcome.answers[0].text.size() == number % 300;
        }
    };
    constexpr std::uint64_t count = 5000;
    Pair pair;
    std::uint64_t right = 0;
    for (std::uint64_t i = 0; i < count; ++i) test::start(pair.io, Run::ask_one(pair.a, i, right));
    test::run_for(pair.io, Run::answer_shuffled(pair.b, count));
    test::run_until(pair.io, [&] { return right == count; });
}

TEST_CASE("calls in both directions at once answer each other, and messages pass between them") {
    struct Run {
        static Task<Question> echo(const Question& question) { co_return question; }
        static Task<> talk(Channel<Question>& channel, int& rounds) {
            for (std::uint64_t i = 0; i < 200; ++i) {
                const Question question{i, "?"};
                const auto answer = co_await channel.call(question, test::patience);
                rounds += answer.number == i;
            }
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<Question>::pair(io.get_executor());
    int rounds = 0;
    test::start(io, a.serve(&Run::echo));
    test::start(io, b.serve(&Run::echo));
    for (int i = 0; i < 5; ++i) {
        test::start(io, Run::talk(a, rounds));
        test::start(io, Run::talk(b, rounds));
    }
    test::run_until(io, [&] { return rounds == 2000; });
    a.close();
    b.close();
    test::settle(io);
}

TEST_CASE("two sides that ask each other for more than either may leave unread do not wait for each other") {
    struct Run {
        static Task<Question> enlarge(const Question& question) {
            Question large{question.number, std::string(question.number, 'a')};
            co_return large;
        }
        static Task<> ask_one(Channel<Question>& channel, std::size_t size, std::size_t& right) {
            const Question question{size, std::string(1000, 'q')};
            const auto answer = co_await channel.call(question, test::patience);
            right += answer.text.size() == size ? 1 : 0;
        }
    };
    struct Row {
        std::size_t calls, size;
    };
    for (const Row& row : {Row{60, 100'000}, Row{400, 50'000}, Row{3000, 5'000}, Row{12, 2'000'000}}) {
        CAPTURE(row.calls);
        asio::io_context io;
        auto [a, b] = Channel<Question>::pair(io.get_executor());
        std::size_t right = 0;
        for (std::size_t i = 0; i < row.calls; ++i) {
            test::start(io, Run::ask_one(a, row.size, right));
            test::start(io, Run::ask_one(b, row.size, right));
        }
        test::start(io, a.serve(&Run::enlarge));
        test::start(io, b.serve(&Run::enlarge));
        test::run_until(io, [&right = right, &row] { return right == 2 * row.calls; });
        a.close();
        b.close();
        test::settle(io);
    }
}

TEST_CASE("a call that is not answered in time ends with that, cancels its handler, and a late reply is dropped") {
    Pair pair;
    Patient patient;
    test::start(pair.io, pair.b.serve(patient));
    Asked outcome;
    test::run_for(pair.io, ask(pair.a, 1, outcome, soon));
    CHECK(outcome.error == std::errc::timed_out);
    test::run_until(pair.io, [&] { return *patient.ended == 1; });
    CHECK(*patient.begun == 1);
}

TEST_CASE("a reply that comes too late is dropped, and the next call is not confused by it") {
    struct Run {
        static Task<> answer_late(Answering& channel, Asked& first) {
            auto late = co_await channel.receive_mail();
            while (!first.done) co_await test::sleep_for(1ms);
            CHECK(late->expects_reply()); // the cancellation has not been read yet
            const Answer stale{1, "late"};
            co_await late->reply(stale);
            auto mail = co_await channel.receive_mail();
            CHECK_FALSE(late->cancelled()); // it had been answered before
            const Answer answer{mail->message.number, "in time"};
            co_await mail->reply(answer);
        }
    };
    Pair pair;
    Asked first;
    Asked second;
    test::start(pair.io, Run::answer_late(pair.b, first));
    test::run_for(pair.io, ask(pair.a, 1, first, soon));
    CHECK(first.error == std::errc::timed_out);
    test::run_for(pair.io, ask(pair.a, 2, second));
    REQUIRE(second.answers.size() == 1);
    CHECK(second.answers[0].number == 2);
    CHECK(second.answers[0].text == "in time");
}

TEST_CASE("a caller that is cancelled cancels the handler") {
    struct Run {
        static Task<> ask_for_a_while(Asking& channel, const int& begun) {
            Asked outcome;
            co_await test::either(ask(channel, 1, outcome), until_positive(begun));
        }
        static Task<> until_positive(const int& number) {
            while (number <= 0) co_await test::sleep_for(1ms);
        }
    };
    Pair pair;
    Patient patient;
    test::start(pair.io, pair.b.serve(patient));
    test::run_for(pair.io, Run::ask_for_a_while(pair.a, *patient.begun));
    test::run_until(pair.io, [&] { return *patient.ended == 1; });
}

TEST_CASE("the end of the other side fails every call under way at once, and cancels what runs for it") {
    Pair pair;
    Patient patient;
    test::start(pair.io, pair.b.serve(patient));
    std::vector<Asked> outcomes(100);
    for (auto& outcome : outcomes) test::start(pair.io, ask(pair.a, 1, outcome, 1h));
    test::run_until(pair.io, [&] { return *patient.begun == 100; });
    SUBCASE("the answering side goes") {
        pair.b.close();
        test::run_until(pair.io, [&] { return std::ranges::all_of(outcomes, &Asked::done); });
        for (const auto& outcome : outcomes) CHECK(outcome.error == std::errc::connection_reset);
    }
    SUBCASE("the asking side goes") {
        pair.a.close();
        test::run_until(pair.io, [&] { return std::ranges::all_of(outcomes, &Asked::done); });
        for (const auto& outcome : outcomes) CHECK(outcome.error == Errc::closed);
    }
    test::run_until(pair.io, [&] { return *patient.ended == 100; });
    Asked after;
    test::run_for(pair.io, ask(pair.a, 2, after));
    CHECK((after.error == std::errc::connection_reset || after.error == std::errc::broken_pipe ||
           after.error == Errc::closed));
}

TEST_CASE("a call that is let go of, whose handler throws, or that no one receives says which of these") {
    Pair pair;
    Asked outcome;
    SUBCASE("received as a message") {
        struct Run {
            static Task<> receive(Answering& channel) { static_cast<void>(co_await channel.receive()); }
        };
        test::start(pair.io, Run::receive(pair.b));
        test::run_for(pair.io, ask(pair.a, 1, outcome));
        CHECK(outcome.error == Errc::unanswered);
    }
    SUBCASE("the handler throws") {
        test::start(pair.io, pair.b.serve(&fail_always));
        test::run_for(pair.io, ask(pair.a, 3, outcome));
        CHECK(outcome.error == Errc::call_failed);
        CHECK(outcome.what.find("no answer to 3") != std::string::npos);
        test::run_for(pair.io, ask(pair.a, 7, outcome));
        CHECK(outcome.error == Errc::call_failed);
    }
    SUBCASE("two tasks of the handler throw: the first one's words are told") {
        test::start(pair.io, pair.b.serve(&fail_twice));
        test::run_for(pair.io, ask(pair.a, 3, outcome));
        CHECK(outcome.error == Errc::call_failed);
        CHECK(outcome.what.find("no answer to 3") != std::string::npos);
    }
    SUBCASE("nobody receives") {
        test::run_for(pair.io, ask(pair.a, 1, outcome, soon));
        CHECK(outcome.error == std::errc::timed_out);
    }
    CHECK(outcome.answers.empty());
}

TEST_CASE("a reply comes past messages that nobody has received, and they are all received afterwards") {
    struct Run {
        static Task<> flood_then_answer(Answering& channel) {
            auto mail = co_await channel.receive_mail();
            for (std::uint64_t i = 0; i < 1000; ++i) {
                const Answer note{i, "note"};
                co_await channel.send(note);
            }
            const Answer answer{mail->message.number, "reply"};
            co_await mail->reply(answer);
            for (std::uint64_t i = 1000; i < 2000; ++i) {
                const Answer note{i, "note"};
                co_await channel.send(note);
            }
            channel.finish();
        }
        static Task<> receive_all(Asking& channel, std::uint64_t& next) {
            while (const auto note = co_await channel.receive()) next += note->number == next && note->text == "note";
        }
    };
    Pair pair;
    Asked outcome;
    test::start(pair.io, Run::flood_then_answer(pair.b));
    test::run_for(pair.io, ask(pair.a, 5, outcome));
    REQUIRE(outcome.answers.size() == 1);
    CHECK(outcome.answers[0].text == "reply");
    std::uint64_t next = 0;
    test::run_for(pair.io, Run::receive_all(pair.a, next));
    CHECK(next == 2000);
}

TEST_CASE(
    "a flood that nobody receives is not read without bound for a reply behind it, which comes when it is received") {
    struct Run {
        static Task<> flood(Answering& channel, std::uint64_t& sent) {
            auto mail = co_await channel.receive_mail();
            for (; sent < 200; ++sent) {
                const Answer note{sent, std::string(10'000, 'x')};
                co_await channel.send(note);
            }
            const Answer answer{1, "reply"};
            co_await mail->reply(answer);
        }
        static Task<> receive(Asking& channel, int count) {
            for (; count > 0; --count) static_cast<void>(co_await channel.receive());
        }
    };
    Pair pair({.high_water = 10'000, .unreceived = 100'000});
    Asked outcome;
    std::uint64_t sent = 0;
    test::start(pair.io, Run::flood(pair.b, sent));
    test::start(pair.io, ask(pair.a, 1, outcome));
    test::run_until(pair.io, [&] { return sent > 20; });
    test::settle(pair.io);
    const auto in_flight = sent;
    CHECK(in_flight < 200); // what the socket, the queue and the bound hold
    test::run_for(pair.io, Run::receive(pair.a, 200));
    test::run_until(pair.io, [&] { return outcome.done; });
    CHECK(outcome.answers.size() == 1);
}

TEST_CASE("an acknowledged message is acknowledged when it was taken, not before") {
    struct Run {
        static Task<> send(Asking& channel, bool& taken, std::error_code& error, cohort::Timeout timeout) {
            const Question question{1, "?"};
            try {
                co_await channel.send_acked(question, timeout);
                taken = true;
            } catch (const std::system_error& failure) {
                error = failure.code();
            }
        }
        static Task<> receive(Answering& channel) {
            const auto question = co_await channel.receive();
            CHECK(question->text == "?");
        }
    };
    Pair pair;
    bool taken = false;
    std::error_code error;
    SUBCASE("taken") {
        test::start(pair.io, Run::send(pair.a, taken, error, test::patience));
        test::settle(pair.io);
        CHECK_FALSE(taken);
        test::run_for(pair.io, Run::receive(pair.b));
        test::run_until(pair.io, [&] { return taken; });
    }
    SUBCASE("not in time") {
        test::run_for(pair.io, Run::send(pair.a, taken, error, soon));
        CHECK(error == std::errc::timed_out);
        test::run_for(pair.io, Run::receive(pair.b)); // it was sent nevertheless
    }
    SUBCASE("never") {
        test::start(pair.io, Run::send(pair.a, taken, error, test::patience));
        test::settle(pair.io);
        pair.b.close();
        test::run_until(pair.io, [&] { return static_cast<bool>(error); });
        CHECK(error == std::errc::connection_reset);
    }
}

TEST_CASE("after finish() replies still go both ways, new calls and messages do not") {
    Pair pair;
    Asked outcome;
    struct Run {
        static Task<> answer_after_the_end(Answering& channel) {
            auto mail = co_await channel.receive_mail();
            channel.finish(); // sends no more messages, but owes this
            const auto more = co_await channel.receive_mail();
            CHECK_FALSE(more);
            const Answer answer{mail->message.number, "owed"};
            co_await mail->reply(answer);
        }
    };
    test::start(pair.io, Run::answer_after_the_end(pair.b));
    test::start(pair.io, ask(pair.a, 4, outcome));
    test::settle(pair.io);
    pair.a.finish();
    test::run_until(pair.io, [&] { return outcome.done; });
    REQUIRE(outcome.answers.size() == 1);
    CHECK(outcome.answers[0].text == "owed");
    Asked after;
    test::run_for(pair.io, ask(pair.a, 5, after));
    CHECK(after.error == Errc::closed);
}

TEST_CASE("a channel that only calls and never receives goes on for ever") {
    struct Run {
        static Task<> ask_many(Asking& channel, std::uint64_t& right) {
            for (std::uint64_t i = 0; i < 3000; ++i) {
                const Question question{i, std::string(1000, 'q')};
                const auto answer = co_await channel.call(question, test::patience);
                right += answer.number == i;
            }
        }
    };
    Pair pair({.unreceived = 100'000});
    std::uint64_t right = 0;
    test::start(pair.io, pair.b.serve(&answer_at_once));
    test::run_for(pair.io, Run::ask_many(pair.a, right));
    CHECK(right == 3000);
}

TEST_CASE("whoever receives while a call reads in the background is told when a dead peer's stream is drained") {
    struct Run {
        static Task<> receive(Asking& channel, bool& ended) {
            const auto message = co_await channel.receive();
            CHECK_FALSE(message);
            ended = true;
        }
    };
    Pair pair;
    Asked outcome;
    bool ended = false;
    test::start(pair.io, ask(pair.a, 1, outcome));
    test::settle(pair.io);
    test::start(pair.io, Run::receive(pair.a, ended));
    test::settle(pair.io);
    cohort::detail::Access::stream(pair.a).drain();
    test::run_until(pair.io, [&] { return ended && outcome.done; });
    CHECK(outcome.error == std::errc::connection_reset);
}

TEST_CASE("a call that is given up after finish() still cancels its handler") {
    Pair pair;
    Patient patient;
    Asked outcome;
    test::start(pair.io, pair.b.serve(patient));
    test::start(pair.io, ask(pair.a, 1, outcome, soon));
    test::settle(pair.io);
    pair.a.finish();
    test::run_until(pair.io, [&] { return outcome.done && *patient.ended == 1; });
    CHECK(outcome.error == std::errc::timed_out);
}

TEST_CASE("an answer that no peer gives fails the call, and nothing worse") {
    using namespace cohort::detail;
    struct Row {
        const char* name;
        FrameKind kind;
        std::optional<std::int32_t> failure;
        Errc error;
    };
    const Row rows[] = {
        {"a failure without an error", FrameKind::failure, 0, Errc::bad_frame},
        {"a failure with an error of nobody's", FrameKind::failure, 9999, static_cast<Errc>(9999)},
        {"a failure that is none", FrameKind::failure, {}, Errc::bad_frame},
        {"an acknowledgement", FrameKind::taken, {}, Errc::bad_frame},
        {"a reply that is none", FrameKind::reply, {}, Errc::bad_message},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        asio::io_context io;
        auto [mine, others] = make_socketpair(SOCK_STREAM);
        Asking channel(io.get_executor(), std::move(mine));
        Buffer bytes;
        FrameHeader hello{.kind = FrameKind::hello};
        append_frame(bytes, hello, 1000, [](Buffer& out) {
            cohort::encode(Greeting{cohort::schema_hash<Answer>(), "Answer"}, out);
        });
        FrameHeader answer{.kind = row.kind, .correlation = 1};
        append_frame(bytes, answer, 1000, [&](Buffer& out) {
            if (row.failure) cohort::encode(CallFailure{*row.failure, "no matter"}, out);
        });
        Asked outcome;
        test::start(io, ask(channel, 1, outcome));
        test::settle(io);
        REQUIRE(send_datagram(others.get(), bytes.bytes(), {}));
        test::run_until(io, [&] { return outcome.done; });
        CHECK(outcome.answers.empty());
        CHECK(outcome.error == row.error);
    }
}

TEST_CASE("no more handlers run at once than were allowed") {
    struct Run {
        static Task<Answer> count(const Question&, int& now, int& most) {
            most = std::max(most, ++now);
            co_await test::sleep_for(1ms);
            --now;
            const Answer answer{};
            co_return answer;
        }
    };
    Pair pair;
    int now = 0;
    int most = 0;
    test::start(pair.io, pair.b.serve([&](const Question& question) { return Run::count(question, now, most); }, 3));
    std::vector<Asked> outcomes(20);
    for (auto& outcome : outcomes) test::start(pair.io, ask(pair.a, 1, outcome));
    test::run_until(pair.io, [&] { return std::ranges::all_of(outcomes, &Asked::done); });
    CHECK(most == 3);
    for (const auto& outcome : outcomes) CHECK(outcome.answers.size() == 1);
}

TEST_CASE("that nobody waits for an answer any more is noticed also while as many handlers run as may") {
    Pair pair;
    Patient patient;
    bool another_begun = false;
    const auto handler = [&](const Question& question) {
        another_begun = another_begun || question.number == 2;
        return patient(question);
    };
    test::start(pair.io, pair.b.serve(handler, 2));
    std::vector<Asked> outcomes(5);
    SUBCASE("each is given up, and one that is not begins") {
        for (auto& outcome : outcomes) test::start(pair.io, ask(pair.a, 1, outcome, soon));
        test::run_until(pair.io, [&] { return std::ranges::all_of(outcomes, &Asked::done); });
        for (const auto& outcome : outcomes) CHECK(outcome.error == std::errc::timed_out);
        Asked another;
        test::start(pair.io, ask(pair.a, 2, another));
        test::run_until(pair.io, [&] { return another_begun && *patient.ended == *patient.begun - 1; });
        CHECK_FALSE(another.done);
        pair.a.close();
        test::run_until(pair.io, [&] { return another.done && *patient.ended == *patient.begun; });
    }
    SUBCASE("the other side goes, and what lies behind is not begun") {
        for (auto& outcome : outcomes) test::start(pair.io, ask(pair.a, 1, outcome));
        test::run_until(pair.io, [&] { return *patient.begun == 2; });
        pair.a.close();
        test::run_until(pair.io, [&] { return *patient.ended == 2 && !pair.b.is_open(); });
        test::settle(pair.io);
        CHECK(*patient.begun == 2);
    }
}

TEST_CASE("serve ends when the other side does, after its last handler") {
    struct Run {
        static Task<> serve(Answering& channel, bool& ended) {
            co_await channel.serve(&answer_at_once);
            ended = true;
        }
    };
    Pair pair;
    bool ended = false;
    Asked outcome;
    test::start(pair.io, Run::serve(pair.b, ended));
    test::run_for(pair.io, ask(pair.a, 1, outcome));
    CHECK_FALSE(ended);
    pair.a.finish();
    test::run_until(pair.io, [&] { return ended; });
}

TEST_CASE("a process that dies fails the calls made to it") {
    auto [mine, others] = cohort::detail::make_socketpair(SOCK_STREAM);
    const pid_t child = test::fork_child([&] {
        mine.reset();
        asio::io_context io;
        Answering channel(io.get_executor(), std::move(others));
        test::start(io, channel.serve(Patient()));
        io.run();
        return 0;
    });
    others.reset();
    asio::io_context io;
    Asking channel(io.get_executor(), std::move(mine));
    Asked outcome;
    test::start(io, ask(channel, 1, outcome));
    test::settle(io);
    ::kill(child, SIGKILL);
    test::run_until(io, [&] { return outcome.done; });
    CHECK(outcome.error == std::errc::connection_reset);
    CHECK(test::wait_for(child) == -SIGKILL);
}

TEST_CASE("calls that time out because the other side reads nothing end in too_many, until it reads") {
    constexpr std::size_t size = 4'000;
    constexpr std::size_t most = 50'000;
    struct Run {
        static Task<> until_refused(Asking& channel, bool acked, std::size_t& sent, std::error_code& error) {
            const Question question{0, std::string(size, 'q')};
            while (!error) {
                try {
                    ++sent;
                    if (acked)
                        co_await channel.send_acked(question, 1ms);
                    else
                        co_await channel.call(question, 1ms);
                } catch (const std::system_error& failure) {
                    if (failure.code() != std::errc::timed_out) error = failure.code();
                }
            }
        }
        static Task<> read_all(Answering& channel, std::size_t& read) {
            while (auto mail = co_await channel.receive_mail()) {
                ++read;
                const Answer answer{mail->message.number, {}};
                if (mail->expects_reply()) co_await mail->reply(answer);
            }
        }
    };
    for (const bool acked : {false, true}) {
        CAPTURE(acked);
        Pair pair({.high_water = 10'000, .unread_answers = most});
        int in_kernel = 0;
        socklen_t length = sizeof in_kernel;
        REQUIRE(::getsockopt(pair.a.native_handle(), SOL_SOCKET, SO_SNDBUF, &in_kernel, &length) == 0);
        std::size_t sent = 0;
        std::error_code error;
        test::start(pair.io, Run::until_refused(pair.a, acked, sent, error));
        test::run_until(pair.io, [&] { return static_cast<bool>(error); });
        CHECK(error == Errc::too_many);
        CHECK(sent * size < 2 * (most + static_cast<std::size_t>(in_kernel)));
        std::size_t read = 0;
        test::start(pair.io, Run::read_all(pair.b, read));
        test::run_until(pair.io, [&] { return read == sent - 1; }); // each but the refused one
        Asked outcome;
        test::start(pair.io, ask(pair.a, 9, outcome));
        test::run_until(pair.io, [&] { return outcome.done; });
        CHECK(outcome.answers.size() == 1);
    }
}

TEST_CASE("what was given up and has been read refuses no call, whatever is queued behind it") {
    struct Run {
        static Task<> receive(Answering& channel, std::size_t count, std::size_t& received) {
            for (; received != count; ++received) co_await channel.receive_mail();
        }
        static Task<> send(Asking& channel) {
            const Question large{0, std::string(200'000, 'l')};
            co_await channel.send(large);
        }
    };
    Pair pair({.high_water = 10'000, .unread_answers = 20'000});
    std::vector<Asked> given_up(20);
    for (Asked& each : given_up) {
        test::start(pair.io, ask(pair.a, 299, each, soon));
        test::run_until(pair.io, [&] { return each.done; });
        CHECK(each.error == std::errc::timed_out);
    }
    for (int i = 0; i != 5; ++i) test::start(pair.io, Run::send(pair.a));
    std::size_t received = 0;
    test::start(pair.io, Run::receive(pair.b, given_up.size(), received));
    test::run_until(pair.io, [&] { return received == given_up.size(); });
    Asked outcome;
    test::start(pair.io, ask(pair.a, 9, outcome));
    test::start(pair.io, pair.b.serve(answer_at_once));
    test::run_until(pair.io, [&] { return outcome.done; });
    CHECK(outcome.answers.size() == 1);
}

TEST_CASE("calls are refused to a peer that has not read a long answer yet, and it gets both") {
    struct Run {
        static Task<> answer_one(Answering& channel, std::optional<Answering::Mail>& mail) {
            mail = co_await channel.receive_mail();
            const Answer answer{mail->message.number, std::string(5'000'000, 'a')};
            co_await mail->reply(answer);
        }
    };
    Pair pair;
    Asked first, second;
    test::start(pair.io, ask(pair.a, 1, first));
    test::start(pair.io, ask(pair.a, 2, second));
    std::optional<Answering::Mail> mail;
    auto& stream = cohort::detail::Access::stream(pair.b);
    test::start(pair.io, Run::answer_one(pair.b, mail));
    while (stream.queued() < 4'000'000) REQUIRE(pair.io.poll_one() != 0);
    CHECK_FALSE(stream.is_serving()); // although the mail is there still
    stream.refuse_calls(Errc::stopping);
    test::run_until(pair.io, [&] { return first.done && second.done; });
    CHECK(first.answers.size() == 1);
    CHECK(second.error == Errc::stopping);
}

TEST_CASE("a peer that calls and reads nothing, while this side calls too, loses the channel") {
    struct Run {
        static Task<Answer> answer(const Question& question) {
            const Answer answer{question.number, std::string(20'000, 'a')};
            co_return answer;
        }
        static Task<> serve(Answering& channel, std::error_code& error) {
            try {
                co_await channel.serve(answer);
            } catch (const std::system_error& failure) {
                error = failure.code();
            }
        }
        static Task<> call(Answering& channel, std::error_code& error) {
            try {
                const Answer request{1, "own"};
                co_await channel.call(request);
            } catch (const std::system_error& failure) {
                error = failure.code();
            }
        }
    };
    asio::io_context io;
    auto [ours, theirs] = cohort::detail::make_socketpair(SOCK_STREAM);
    const cohort::ChannelLimits limits{.high_water = 10'000, .unreceived = 50'000, .unread_answers = 20'000};
    auto channel = Answering::accepted(io.get_executor(), std::move(ours), limits);
    std::error_code serving, calling;
    test::start(io, Run::serve(channel, serving));
    test::start(io, Run::call(channel, calling));

    cohort::detail::Buffer bytes;
    std::vector<int> none;
    const auto append = [&](cohort::detail::FrameKind kind, std::uint64_t id, auto fill) {
        cohort::detail::FrameHeader header{.kind = kind, .correlation = id};
        cohort::detail::append_frame(bytes, header, 1 << 20, fill);
    };
    append(cohort::detail::FrameKind::hello, 0, [](cohort::detail::Buffer& out) {
        cohort::encode(cohort::detail::greeting_of(cohort::detail::Schema::of<Question>()), out);
    });
    const Question question{1, std::string(1000, 'q')};
    std::uint64_t id = 0;
    test::run_until(io, [&] {
        while (bytes.size() < 100'000)
            append(cohort::detail::FrameKind::call, ++id,
                   [&](cohort::detail::Buffer& out) { cohort::encode(question, out); });
        const ssize_t written = ::send(theirs.get(), bytes.bytes().data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written > 0) bytes.consume(static_cast<std::size_t>(written));
        return serving && calling;
    });
    CHECK(serving == Errc::too_many);
    CHECK(calling == Errc::too_many);
    CHECK(cohort::detail::Access::stream(channel).queued() == 0);
    channel.close();
    test::settle(io);
}

namespace {

/// Notes in something of the one who serves how many of these run.
struct Lasting {
    Task<Answer> operator()(const Question& question) const { return run(*running, question.number); }
    static Task<Answer> run(int& running, std::uint64_t number) {
        struct Counted {
            explicit Counted(int& its_count) : count(its_count) { ++count; }
            Counted(const Counted&) = delete;
            Counted& operator=(const Counted&) = delete;
            ~Counted() { --count; }
            int& count;
        };
        const Counted counted(running);
        co_await test::never();
        co_return Answer{number, ""};
    }

    int* running;
};

} // namespace

TEST_CASE("serve that is cancelled ends after its handlers, whether their message is a call or not") {
    struct Run {
        static Task<> serve(Answering& channel, int& left) {
            int running = 0;
            try {
                co_await channel.serve(Lasting{&running});
            } catch (const std::system_error&) {
            }
            left = running;
        }
        static Task<> send(Asking& channel) {
            const Question question{1, ""};
            co_await channel.send(question);
        }
    };
    Pair pair;
    asio::cancellation_signal cancel;
    int left = -1;
    bool ended = false;
    asio::co_spawn(pair.io, Run::serve(pair.b, left),
                   asio::bind_cancellation_slot(cancel.slot(), [&ended](std::exception_ptr) { ended = true; }));
    Asked outcome;
    test::start(pair.io, ask(pair.a, 1, outcome));
    test::start(pair.io, Run::send(pair.a));
    test::settle(pair.io);
    cancel.emit(asio::cancellation_type::all);
    test::run_until(pair.io, [&] { return ended; });
    CHECK(left == 0);
    pair.b.close();
    test::run_until(pair.io, [&] { return outcome.done; });
}

TEST_CASE("serve runs one handler at a time when it is to run none") {
    Pair pair;
    test::start(pair.io, pair.b.serve(&answer_at_once, 0));
    Asked outcome;
    test::run_for(pair.io, ask(pair.a, 1, outcome));
    CHECK(outcome.answers.size() == 1);
}

TEST_CASE("a channel may be moved, or go, while somebody receives from it") {
    struct Run {
        static Task<> receive(Answering& channel, std::optional<Question>& got, bool& done) {
            got = co_await channel.receive();
            done = true;
        }
        static Task<> receive_mail(Answering& channel, std::optional<Question>& got, bool& done) {
            auto mail = co_await channel.receive_mail();
            if (mail) got = mail->message;
            done = true;
        }
        static Task<> send(Asking& channel) {
            const Question question{7, ""};
            try {
                co_await channel.send(question);
            } catch (const std::system_error&) {
                // The other side has gone.
            }
        }
    };
    for (auto* const wait : {&Run::receive, &Run::receive_mail}) {
        for (const bool goes : {false, true}) {
            CAPTURE(goes);
            asio::io_context io;
            auto [asking, answering] = Asking::pair(io.get_executor());
            auto first = std::make_unique<Answering>(std::move(answering));
            std::optional<Question> got;
            bool done = false;
            test::start(io, wait(*first, got, done));
            test::settle(io);
            std::optional<Answering> second;
            if (!goes) second.emplace(std::move(*first));
            first.reset();
            test::start(io, Run::send(asking));
            test::run_until(io, [&] { return done; });
            CHECK(got.has_value() == !goes);
            if (got) CHECK(got->number == 7);
        }
    }
}

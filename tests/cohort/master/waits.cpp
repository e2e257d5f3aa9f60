// SPDX-License-Identifier: MIT
// Every wait of the public API ends when what it waits for cannot come: a table of the waits and of what ends them.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"
#include "support/run_for.hpp"

#include <cohort/http/serve.hpp>
#include <cohort/scope.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <list>
#include <new>
#include <span>
#include <string>
#include <vector>

#include <sys/mman.h>

using namespace test;

namespace {

constexpr int nothing_yet = -1;
constexpr int returned = 0;

constexpr int reset = ECONNRESET;

/// What a wait ended with, as one number: system errors as they are. Who writes last meets EPIPE, who reads ECONNRESET.
int number_of(std::error_code error) {
    if (error == std::errc::broken_pipe) return reset;
    return error.category() == error_category() ? 1'000 + error.value() : error.value();
}
constexpr int number_of(Errc error) { return 1'000 + static_cast<int>(error); }

/// Seen by all processes of one row.
struct Board {
    std::atomic<int> waiting{0}; // how many are where the row wants them
    std::atomic<bool> go{false}; // it happens
    std::atomic<int> outcome{nothing_yet};
    std::atomic<bool> over{false};
};
Board* board = nullptr;

Task<> until(std::function<bool()> is_so) {
    while (!is_so()) co_await sleep_for(1ms);
}

/// A wait, or what it depends on, is where the row wants it. What happens then may still come before the wait itself;
/// that ends as well.
void in_place() { ++board->waiting; }

/// Writes down how the wait ends.
Task<> note_end(Task<> wait) {
    int outcome = returned;
    try {
        co_await std::move(wait);
    } catch (const std::system_error& error) {
        outcome = number_of(error.code());
    }
    board->outcome = outcome;
}

/// A grace that no test lives to see: what ends only with it does not end.
Options patient_options() {
    Options options = plain_options();
    options.grace = 1h;
    options.boot_timeout = 1h;
    options.liveness.interval = 0ms;
    return options;
}

enum class Happens {
    stop,
    kill_all,
    disconnect, // of the worker that waits, or for which the master waits
    leave,      // the worker says so itself
    master_killed,
    worker_killed,    // for which the master waits
    other_disconnect, // the worker on which the one that waits depends
    other_killed,
};

const char* to_text(Happens what) {
    switch (what) {
        case Happens::stop: return "stop";
        case Happens::kill_all: return "kill_all";
        case Happens::disconnect: return "disconnect";
        case Happens::leave: return "leave";
        case Happens::master_killed: return "master killed";
        case Happens::worker_killed: return "worker killed";
        case Happens::other_disconnect: return "other worker disconnected";
        case Happens::other_killed: return "other worker killed";
    }
    return "?";
}

void happen(App& app, Happens what, WorkerId worker, WorkerId other) {
    switch (what) {
        case Happens::stop: spawn(app.context(), app.stop()); break;
        case Happens::kill_all: app.kill_all(); break;
        case Happens::disconnect: app.disconnect(worker); break;
        case Happens::worker_killed: app.kill(worker, SIGKILL); break;
        case Happens::other_disconnect: app.disconnect(other); break;
        case Happens::other_killed: app.kill(other, SIGKILL); break;
        case Happens::leave:
        case Happens::master_killed: break;
    }
}

using WorkerWait = Task<> (*)(App::Worker&);
using MasterWait = Task<> (*)(App&);

struct Row {
    const char* name;
    Happens what;
    int outcome;
    WorkerWait worker_waits = nullptr;
    WorkerWait other = nullptr;
    MasterWait master_waits = nullptr;
    MasterWait master_beside = nullptr;
    unsigned calls_per_worker = 1000;
};

// What waits in a worker

/// Stays until the row is over, whatever it is asked.
Task<> stay_forever(App::Worker&) {
    in_place();
    co_await until([] { return board->over.load(); });
}
Task<> wait_for_message(App::Worker& self) {
    in_place();
    const auto note = co_await self.receive();
    if (note) throw std::logic_error("a message that nobody sent");
}
Task<> wait_for_mail(App::Worker& self) {
    in_place();
    const auto mail = co_await self.receive_mail();
    if (mail) throw std::logic_error("a message that nobody sent");
}
Task<Note> say_nothing(const Note& note) { co_return note; }
Task<> serve_calls(App::Worker& self) {
    in_place();
    co_await self.serve(&say_nothing);
}
Task<> wait_for_answer(App::Worker& self) {
    in_place();
    const Note question{"anybody?"};
    co_await drop_result(self.call(question));
}
Task<> wait_for_answer_behind_messages(App::Worker& self) {
    for (int i = 0; i < 10; ++i) co_await say(self, "before");
    co_await wait_for_answer(self);
}
Task<> wait_until_taken(App::Worker& self) {
    in_place();
    const Note note{"anybody?"};
    co_await self.send_acked(note);
}
Task<> wait_until_left(App::Worker& self) {
    in_place();
    co_await self.until_stopping();
}
Task<> wait_for_room(App::Worker& self) {
    in_place();
    const Note note{std::string(100'000, 'x')};
    for (;;) co_await self.send(note);
}
Task<> wait_until_flushed(App::Worker& self) {
    in_place();
    const Note note{std::string(100'000, 'x')};
    for (int i = 0; i < 100; ++i) (void)self.send(note);
    co_await self.flush();
}
Task<> accept_nobody(Listener listener) {
    in_place();
    const auto socket = co_await listener.accept();
    if (socket) throw std::logic_error("a connection that nobody made");
}
Task<> wait_for_connection(App::Worker& self) {
    auto listener = co_await self.listen("127.0.0.1:0");
    co_await accept_nobody(std::move(listener));
}
Task<> wait_for_own_connection(App::Worker& self) {
    auto listener = co_await self.listen("127.0.0.1:0", exclusive);
    co_await accept_nobody(std::move(listener));
}
Task<http::Response> answer_nothing(const http::Request&) { co_return http::text(""); }
Task<> wait_for_requests(App::Worker& self) {
    auto listener = co_await self.listen("127.0.0.1:0");
    in_place();
    co_await http::serve(self, listener, answer_nothing);
}
Task<> wait_for_news(App::Worker& self) {
    auto news = co_await self.subscribe<Note>("news");
    in_place();
    const auto note = co_await news.receive();
    if (note) throw std::logic_error("news that nobody published");
}
Task<> hold_role(App::Worker& self) {
    const auto role = co_await self.leader("one");
    co_await stay_forever(self);
}
Task<> wait_for_role(App::Worker& self) {
    co_await until([] { return board->waiting > 0; }); // the other has it
    in_place();
    const auto role = co_await self.leader("one");
}
Task<> wait_for_peer(App::Worker& self) {
    in_place();
    const auto peer = co_await self.accept_peer<Note>();
    if (peer) throw std::logic_error("a peer that nobody introduced");
}
Task<> call_other(App::Worker& self) {
    co_await until([] { return board->waiting > 0; }); // it is there
    auto channel = co_await self.connect<Note>(2);
    in_place();
    const Note question{"anybody?"};
    co_await drop_result(channel.call(question));
}
Task<> hear_other(App::Worker& self) {
    co_await until([] { return board->waiting > 0; });
    auto channel = co_await self.connect<Note>(2);
    in_place();
    const auto note = co_await channel.receive();
    if (note) throw std::logic_error("a message that nobody sent");
}
/// Accepts, and answers nothing.
Task<> meet_and_stay(App::Worker& self) {
    in_place();
    const auto peer = co_await self.accept_peer<Note>();
    co_await until([] { return board->over.load(); });
}
Task<> meet_and_leave(App::Worker& self) {
    in_place();
    const auto peer = co_await self.accept_peer<Note>();
    co_await self.until_stopping();
}

// What is asked for when it is too late

template <WorkerWait wait>
Task<> late(App::Worker& self) {
    co_await wait_until_left(self);
    co_await wait(self);
}
Task<> listen_late(App::Worker& self) {
    co_await wait_until_left(self);
    const auto listener = co_await self.listen("127.0.0.1:0");
}
Task<> listen_alone_late(App::Worker& self) {
    co_await wait_until_left(self);
    const auto listener = co_await self.listen("127.0.0.1:0", exclusive);
}
Task<> bind_late(App::Worker& self) {
    co_await wait_until_left(self);
    const auto socket = co_await self.bind("127.0.0.1:0");
}
Task<> lead_late(App::Worker& self) {
    co_await wait_until_left(self);
    const auto role = co_await self.leader("late");
}
Task<> connect_late(App::Worker& self) {
    co_await wait_until_left(self);
    const auto channel = co_await self.connect<Note>(2);
}

// What waits in the master

Task<> wait_for_any_message(App& app) {
    const auto mail = co_await app.receive();
    if (mail) throw std::logic_error("a message that nobody sent");
}
Task<Note> no_answer(const App::Mail& mail) { co_return mail.message; }
Task<> serve_workers(App& app) { co_await app.serve(&no_answer); }
Task<> wait_for_events(App& app) {
    while (const auto event = co_await app.next_event()) {
    }
}
Task<> wait_until_finished(App& app) { co_await app.until_finished(); }
Task<> wait_for_news_here(App& app) {
    auto news = co_await app.subscribe<Note>("news");
    const auto note = co_await news.receive();
    if (note) throw std::logic_error("news that nobody published");
}
Task<> call_pool(App& app) {
    const Note question{"anybody?"};
    co_await drop_result(app.call(question));
}
Task<> call_pool_again(App& app) {
    const Note question{"anybody?"};
    const CallOptions options{.idempotent = true, .attempts = 1'000};
    co_await drop_result(app.call(question, options));
}
/// All workers have as many as they may.
Task<> call_full_pool(App& app) {
    spawn(app.context(), call_pool(app));
    co_await yield(); // that call comes first
    co_await call_pool(app);
}
Task<> call_worker(App& app) {
    const Note question{"anybody?"};
    co_await drop_result(app.call(1, question));
}
Task<> send_acked_to_worker(App& app) {
    const Note note{"anybody?"};
    co_await app.send_acked(1, note);
}
Task<> fill_worker(App& app) {
    const Note note{std::string(100'000, 'x')};
    for (;;) co_await app.send(1, note);
}
Task<> fill_all(App& app) {
    const Note note{std::string(100'000, 'x')};
    for (int i = 0; i < 100; ++i) co_await app.broadcast(note);
}
Task<> reload(App& app) {
    const ReloadReport report = co_await app.reload();
    if (report.error) throw std::system_error(report.error);
}
Task<> upgrade(App& app) {
    const ReloadReport report = co_await app.upgrade();
    if (report.error) throw std::system_error(report.error);
}
Task<> stop(App& app) { co_await app.stop(); }
Task<> wait_in_scope(App& app) { co_await app.next_event(); }
Task<> scope(App& app) { co_await with_workers(app, 1, wait_until_left, wait_in_scope); }

Task<> call_pool_late(App& app) {
    co_await until([] { return board->go.load(); });
    co_await until([&] { return app.stopping(); });
    co_await call_pool(app);
}
Task<> call_pool_without_workers(App& app) {
    co_await app.until_finished();
    co_await call_pool(app);
}
Task<> subscribe_without_workers(App& app) {
    co_await app.until_finished();
    co_await wait_for_news_here(app);
}
Task<> receive_without_workers(App& app) {
    co_await app.until_finished();
    co_await wait_for_any_message(app);
}
Task<> reload_late(App& app) {
    co_await until([&] { return app.stopping(); });
    co_await reload(app);
}

/// Answers the calls of workers until nobody can call any more.
Task<Note> answer(const App::Mail& mail) { co_return mail.message; }
Task<> answer_all(App& app) { co_await app.serve(&answer); }
/// Has received once, and does not again.
Task<> hear_once(App& app) { const auto mail = co_await app.receive(); }

const Row* row = nullptr;

/// Ends when told to, so that the row says when.
Task<> wait_in_worker(App::Worker& self) {
    struct Run {
        static Task<> leave(App::Worker& self) {
            co_await until([] { return board->go.load(); });
            if (row->what == Happens::leave) self.disconnect();
        }
    };
    spawn(self.context(), Run::leave(self));
    co_await note_end(row->worker_waits(self));
}
Task<> be_other(App::Worker& self) { co_await row->other(self); }

Task<> play(App& app) {
    const bool in_worker = row->worker_waits != nullptr;
    const WorkerId worker = app.spawn(in_worker ? &wait_in_worker : &be_other);
    co_await next(app, WorkerState::online);
    const WorkerId other = in_worker && row->other != nullptr ? app.spawn(&be_other) : 0;
    if (row->master_beside != nullptr) spawn(app.context(), row->master_beside(app));
    if (!in_worker) {
        spawn(app.context(), note_end(row->master_waits(app)));
        in_place();
    }
    const int all = 1 + (row->other != nullptr ? 1 : 0);
    co_await until([all] { return board->waiting >= all; });
    co_await sleep_for(20ms); // whatever is to arrive before has; a wait that has not begun yet ends as well
    board->go = true;
    happen(app, row->what, worker, other);
    co_await until([] { return board->over.load(); });
}

int play_row() {
    Options options = patient_options();
    options.calls_per_worker = row->calls_per_worker;
    in_master<App>(options, [](App& app) { return play(app); });
    return 0;
}

/// Makes what the next process inherits: which row it is, and where to write.
Board* begin(const Row& tried) {
    void* const page = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    board = new (page) Board;
    row = &tried;
    return board;
}

/// A cluster of its own for one row.
class Trial {
public:
    Trial(const Row& tried, int (*play)()) : row_(tried), board_(begin(tried)), helper_(play) {}
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;
    ~Trial() { ::munmap(board_, sizeof(Board)); }

    void check() {
        const std::string what = std::string(row_.name) + ": " + to_text(row_.what);
        CAPTURE(what);
        CHECK(eventually([this] { return board_->go.load(); }, left()));
        if (row_.what == Happens::master_killed) helper_.signal(SIGKILL);
        CHECK(eventually([this] { return board_->outcome != nothing_yet; }, left()));
        CHECK(board_->outcome.load() == row_.outcome);
        board_->over = true;
        const bool killed = row_.what == Happens::master_killed;
        CHECK(helper_.wait() == (killed ? ExitStatus::signaled(SIGKILL) : ExitStatus::exited(0)));
    }

private:
    std::chrono::steady_clock::duration left() const { return deadline_ - std::chrono::steady_clock::now(); }

    const Row& row_;
    Board* board_;
    Helper helper_;
    std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::now() + limit * 2 / 3;
};

/// A few at a time: they mostly wait.
void check(std::span<const Row> rows, int (*play)() = play_row) {
    constexpr std::size_t at_once = 8;
    while (!rows.empty()) {
        const auto some = rows.first(std::min(at_once, rows.size()));
        std::list<Trial> trials;
        for (const Row& each : some) trials.emplace_back(each, play);
        for (Trial& each : trials) each.check();
        rows = rows.subspan(some.size());
    }
}

constexpr int stopping = number_of(Errc::stopping);

TEST_CASE("every wait in a worker ends when the worker is to leave, when it leaves, and when its master dies") {
    const Row rows[] = {
        {"receive", {}, returned, wait_for_message},
        {"receive_mail", {}, returned, wait_for_mail},
        {"serve", {}, returned, serve_calls},
        {"until_stopping", {}, returned, wait_until_left},
        {"accept", {}, returned, wait_for_connection},
        {"accept, exclusive", {}, returned, wait_for_own_connection},
        {"http::serve", {}, returned, wait_for_requests},
        {"Subscription::receive", {}, returned, wait_for_news},
        {"accept_peer", {}, returned, wait_for_peer},
        {"receive, late", {}, returned, late<wait_for_message>},
        {"accept_peer, late", {}, returned, late<wait_for_peer>},
        {"listen, late", {}, stopping, listen_late},
        {"listen, exclusive and late", {}, stopping, listen_alone_late},
        {"bind, late", {}, stopping, bind_late},
        {"leader, late", {}, stopping, lead_late},
    };
    std::vector<Row> all;
    for (Row each : rows) {
        for (const auto what : {Happens::stop, Happens::disconnect, Happens::leave, Happens::master_killed}) {
            each.what = what;
            all.push_back(each);
        }
    }
    check(all);
}

TEST_CASE("what a worker waits for from others ends with them") {
    constexpr auto closed = number_of(Errc::closed);
    constexpr auto gone = number_of(Errc::no_such_worker);
    const Row rows[] = {
        {"leader", Happens::stop, stopping, wait_for_role, hold_role},
        {"leader", Happens::disconnect, stopping, wait_for_role, hold_role},
        {"leader", Happens::leave, stopping, wait_for_role, hold_role},
        {"leader", Happens::master_killed, stopping, wait_for_role, hold_role},
        {"leader", Happens::other_killed, returned, wait_for_role, hold_role},
        {"call of a peer", Happens::other_killed, reset, call_other, meet_and_stay},
        {"call of a peer", Happens::other_disconnect, reset, call_other, meet_and_leave},
        {"call of a peer that does not accept", Happens::other_killed, reset, call_other, stay_forever},
        {"call of a peer that does not accept", Happens::other_disconnect, reset, call_other, stay_forever},
        {"call of a peer that does not accept", Happens::stop, reset, call_other, stay_forever},
        {"receive from a peer", Happens::other_killed, returned, hear_other, meet_and_stay},
        {"receive from a peer", Happens::other_disconnect, returned, hear_other, meet_and_leave},
        {"connect, late", Happens::stop, gone, connect_late, stay_forever},
        {"subscribe, late", Happens::stop, returned, late<wait_for_news>},
        {"subscribe, late", Happens::disconnect, returned, late<wait_for_news>},
        {"subscribe, late", Happens::leave, returned, late<wait_for_news>},
        {"subscribe, late", Happens::master_killed, closed, late<wait_for_news>},
    };
    check(rows);
}

TEST_CASE("what a worker waits for from its master ends with it, and with the cluster when nobody there receives") {
    const Row rows[] = {
        {"call", Happens::master_killed, reset, wait_for_answer},
        {"send_acked", Happens::master_killed, reset, wait_until_taken},
        {"send", Happens::master_killed, reset, wait_for_room},
        {"flush", Happens::master_killed, reset, wait_until_flushed},
        {"call, nobody receives", Happens::stop, stopping, wait_for_answer},
        {"send_acked, nobody receives", Happens::stop, stopping, wait_until_taken},
        {"call behind messages, nobody receives", Happens::stop, stopping, wait_for_answer_behind_messages},
        {"call behind messages, one was received", Happens::stop, stopping, wait_for_answer_behind_messages, nullptr,
         nullptr, hear_once},
        {"call, late, nobody receives", Happens::stop, stopping, late<wait_for_answer>},
        {"call, late, answered", Happens::stop, returned, late<wait_for_answer>, nullptr, nullptr, answer_all},
        {"call, late, answered", Happens::disconnect, returned, late<wait_for_answer>, nullptr, nullptr, answer_all},
        {"call, late, answered", Happens::leave, returned, late<wait_for_answer>, nullptr, nullptr, answer_all},
    };
    check(rows);
}

TEST_CASE("every wait in a master ends with its workers") {
    constexpr auto gone = number_of(Errc::no_such_worker);
    const Row rows[] = {
        {"receive", Happens::stop, returned, nullptr, wait_until_left, wait_for_any_message},
        {"receive", Happens::kill_all, returned, nullptr, stay_forever, wait_for_any_message},
        {"receive", Happens::worker_killed, returned, nullptr, stay_forever, wait_for_any_message},
        {"serve", Happens::stop, returned, nullptr, wait_until_left, serve_workers},
        {"serve", Happens::kill_all, returned, nullptr, stay_forever, serve_workers},
        {"next_event", Happens::stop, returned, nullptr, wait_until_left, wait_for_events},
        {"next_event", Happens::kill_all, returned, nullptr, stay_forever, wait_for_events},
        {"until_finished", Happens::stop, returned, nullptr, wait_until_left, wait_until_finished},
        {"until_finished", Happens::kill_all, returned, nullptr, stay_forever, wait_until_finished},
        {"Subscription::receive", Happens::stop, returned, nullptr, wait_until_left, wait_for_news_here},
        {"Subscription::receive", Happens::kill_all, returned, nullptr, stay_forever, wait_for_news_here},
        {"receive, after the last worker", Happens::worker_killed, returned, nullptr, stay_forever,
         receive_without_workers},
        {"Subscription, after the last worker", Happens::worker_killed, returned, nullptr, stay_forever,
         subscribe_without_workers},
        {"call(worker)", Happens::worker_killed, reset, nullptr, stay_forever, call_worker},
        {"call(worker)", Happens::kill_all, reset, nullptr, stay_forever, call_worker},
        {"call(worker)", Happens::stop, reset, nullptr, wait_until_left, call_worker},
        {"send_acked", Happens::worker_killed, reset, nullptr, stay_forever, send_acked_to_worker},
        {"send_acked", Happens::kill_all, reset, nullptr, stay_forever, send_acked_to_worker},
        {"send", Happens::worker_killed, reset, nullptr, stay_forever, fill_worker},
        {"send", Happens::kill_all, reset, nullptr, stay_forever, fill_worker},
        {"send", Happens::stop, reset, nullptr, wait_until_left, fill_worker},
        {"broadcast", Happens::worker_killed, returned, nullptr, stay_forever, fill_all},
        {"broadcast", Happens::kill_all, returned, nullptr, stay_forever, fill_all},
        {"call", Happens::worker_killed, reset, nullptr, stay_forever, call_pool},
        {"call", Happens::kill_all, reset, nullptr, stay_forever, call_pool},
        {"call", Happens::stop, reset, nullptr, wait_until_left, call_pool},
        {"call, idempotent", Happens::worker_killed, gone, nullptr, stay_forever, call_pool_again},
        {"call, idempotent", Happens::kill_all, stopping, nullptr, stay_forever, call_pool_again},
        {"call, idempotent", Happens::stop, stopping, nullptr, wait_until_left, call_pool_again},
        {"call, idempotent", Happens::disconnect, gone, nullptr, wait_until_left, call_pool_again},
        {"call, waiting for room", Happens::stop, stopping, nullptr, stay_forever, call_full_pool, nullptr, 1},
        {"call, waiting for room", Happens::kill_all, stopping, nullptr, stay_forever, call_full_pool, nullptr, 1},
        {"call, waiting for room", Happens::disconnect, gone, nullptr, stay_forever, call_full_pool, nullptr, 1},
        {"call, waiting for room", Happens::worker_killed, gone, nullptr, stay_forever, call_full_pool, nullptr, 1},
        {"call, late", Happens::stop, stopping, nullptr, stay_forever, call_pool_late},
        {"call, late", Happens::kill_all, stopping, nullptr, stay_forever, call_pool_late},
        {"call, after the last worker", Happens::worker_killed, gone, nullptr, stay_forever, call_pool_without_workers},
        {"stop", Happens::kill_all, returned, nullptr, stay_forever, stop},
        {"with_workers", Happens::stop, returned, nullptr, wait_until_left, scope},
        {"with_workers", Happens::kill_all, returned, nullptr, stay_forever, scope},
        {"reload, late", Happens::stop, stopping, nullptr, stay_forever, reload_late},
    };
    check(rows);
}

/// The successors in a reload are not ready: nobody has made the number positive.
Task<> be_ready_once(App::Worker& self) {
    if (self.id() == 1) self.ready();
    co_await stay_forever(self);
}

int play_announced() {
    Options options = patient_options();
    options.readiness = Readiness::announced;
    in_master<App>(options, [](App& app) { return play(app); });
    return 0;
}

TEST_CASE("a reload and an upgrade that wait for what is not ready end with the cluster") {
    const Row rows[] = {
        {"reload", Happens::stop, stopping, nullptr, be_ready_once, reload},
        {"reload", Happens::kill_all, stopping, nullptr, be_ready_once, reload},
        {"upgrade", Happens::stop, stopping, nullptr, be_ready_once, upgrade},
        {"upgrade", Happens::kill_all, stopping, nullptr, be_ready_once, upgrade},
    };
    check(rows, play_announced);
}

} // namespace

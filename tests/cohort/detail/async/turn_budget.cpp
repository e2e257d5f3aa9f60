// SPDX-License-Identifier: MIT
#include <cohort/detail/async/turn_budget.hpp>

#include "support/cluster.hpp"
#include "support/folder.hpp"
#include "support/http_server.hpp"
#include "support/links.hpp"
#include "support/run_for.hpp"

#include <cohort/channel_acceptor.hpp>
#include <cohort/http/router.hpp>
#include <cohort/http/serve.hpp>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <asio/connect.hpp>
#include <asio/redirect_error.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ctime>
#include <sys/socket.h>
#include <sys/un.h>

using namespace test;
using namespace cohort;
using namespace cohort::detail;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

/// Of this thread, so that what else the machine does is not counted.
std::chrono::microseconds processor_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::seconds(time.tv_sec) +
                                                                 std::chrono::nanoseconds(time.tv_nsec));
}

void keep_busy(std::chrono::microseconds time) {
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
    }
}

/// Something that costs time with each event, and a timer of 1 ms on the same loop that notices how long others wait.
class Bench {
public:
    Bench(asio::io_context& io, std::chrono::microseconds cost) : io_(io), timer_(io), cost_(cost) {}

    asio::io_context& io() noexcept { return io_; }
    /// What is done with an event.
    void work() {
        keep_busy(cost_);
        ++events_;
    }
    bool enough() const noexcept { return events_ * cost_ >= 300ms; }
    /// From now on the timer runs, beside the others.
    void watch() { start(io_, tick()); }
    /// The median of what else was done between two ticks of the timer.
    std::chrono::microseconds delay() {
        ended_ = true;
        delays_.push_back(processor_time() - last_tick_);
        const auto middle = delays_.begin() + static_cast<std::ptrdiff_t>(delays_.size() / 2);
        std::ranges::nth_element(delays_, middle);
        return *middle;
    }

private:
    Task<> tick() {
        last_tick_ = processor_time();
        while (!ended_) {
            timer_.expires_after(1ms);
            co_await timer_.async_wait(asio::use_awaitable);
            const auto now = processor_time();
            delays_.push_back(now - std::exchange(last_tick_, now));
        }
    }

    asio::io_context& io_;
    asio::steady_timer timer_;
    std::chrono::microseconds cost_;
    std::int64_t events_ = 0;
    std::vector<std::chrono::microseconds> delays_;
    std::chrono::microseconds last_tick_{};
    bool ended_ = false;
};

/// Sends until the receiver has enough, always more than it takes.
template <class C>
Task<> flood(Bench& bench, C& channel) {
    const Note note{"a message", 1};
    try {
        while (!bench.enough()) {
            while (channel.try_send(note)) {
            }
            co_await channel.send(note);
        }
        channel.finish();
    } catch (const std::system_error&) { // the receiver has enough
    }
}

/// What `next`, a member function, gives one after the other.
template <auto next, class From>
Task<> take_enough(Bench& bench, From& from) {
    while (const auto one = co_await (from.*next)()) {
        bench.work();
        if (bench.enough()) break;
    }
}

using InShared = Channel<Note, SharedMemory>;

template <class C, auto next>
Task<> receives(Bench& bench) {
    auto [a, b] = C::pair(bench.io().get_executor());
    bench.watch();
    start(bench.io(), flood(bench, a));
    co_await take_enough<next>(bench, b);
    b.close();
}

struct Worked {
    Task<Note> operator()(const Note& note) const {
        bench->work();
        co_return note;
    }
    Bench* bench;
};

Task<> serves_calls(Bench& bench) {
    auto [a, b] = Channel<Note>::pair(bench.io().get_executor());
    bench.watch();
    start(bench.io(), flood(bench, a));
    co_await b.serve(Worked{&bench});
}

/// Packets of what a master hears, until it has heard enough.
Task<> tell_often(Bench& bench, std::shared_ptr<WorkerLink> link) {
    while (!bench.enough()) {
        while (link->kept() < 200) link->send(Took{1});
        co_await yield();
    }
}

Task<> hears_control(Bench& bench) {
    FakeWorker worker(bench.io().get_executor(), 1);
    bench.watch();
    start(bench.io(), tell_often(bench, worker.link));
    co_await take_enough<&ControlLink::receive>(bench, *worker.target.link);
    co_await yield();
    worker.link->close();
    worker.target.link->close();
}

/// Connects over and over. Only the newest connections are kept.
Task<> connect_often(Bench& bench, const Endpoint& endpoint) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    endpoint.path().copy(address.sun_path, sizeof address.sun_path - 1);
    std::list<UniqueFd> connected;
    while (!bench.enough()) {
        for (int i = 0; i < 100; ++i) {
            UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            if (::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
                connected.push_back(std::move(client));
        }
        while (connected.size() > 100) connected.pop_front();
        co_await yield();
    }
}

Task<> accepts(Bench& bench) {
    const Folder folder;
    ChannelAcceptor<Note> acceptor(bench.io().get_executor(), Endpoint::unix_path(folder / "clients"));
    bench.watch();
    start(bench.io(), connect_often(bench, acceptor.endpoint()));
    while (const auto channel = co_await acceptor.accept()) {
        bench.work();
        if (bench.enough()) break;
    }
}

/// A worker that says more than its master can take.
Task<> talk_on(App::Worker& self) {
    const Note note{"a message", 1};
    while (!self.stopping()) co_await self.send(note);
}

struct InMaster {
    explicit InMaster(asio::io_context& io) : app(io, plain_options()) {}
    ~InMaster() { app.kill_all(); }

    App app;
};

Task<> receives_of_workers(Bench& bench) {
    InMaster master(bench.io());
    for (int i = 0; i < 2; ++i) master.app.spawn(talk_on);
    co_await mail(master.app);
    bench.watch();
    co_await take_enough<&App::receive>(bench, master.app);
}

Task<Note> answer_working(Bench& bench, const App::Mail& letter) {
    bench.work();
    if (bench.enough()) throw std::runtime_error("enough");
    co_return letter.message;
}

struct Answer {
    Task<Note> operator()(const App::Mail& letter) const { return answer_working(*bench, letter); }
    Bench* bench;
};

Task<> until_enough(Bench& bench) {
    while (!bench.enough()) co_await sleep_for(1ms);
}

Task<> serves_workers(Bench& bench) {
    InMaster master(bench.io());
    for (int i = 0; i < 2; ++i) master.app.spawn(talk_on);
    co_await mail(master.app);
    bench.watch();
    co_await either(master.app.serve(Answer{&bench}), until_enough(bench));
}

Task<> publish_much(App::Worker& self) {
    const Note note{"a message", 1};
    while (!self.stopping()) co_await self.publish("news", note);
}

Task<> hears_a_topic(Bench& bench) {
    InMaster master(bench.io());
    auto news = co_await master.app.subscribe<Note>("news");
    for (int i = 0; i < 2; ++i) master.app.spawn(publish_much);
    co_await news.receive();
    bench.watch();
    co_await take_enough<&Subscription<Note>::receive>(bench, news);
}

/// Sends one request after the other, or pieces of a body, and never waits for an answer.
Task<> send_often(Bench& bench, tcp::socket& client, std::string_view bytes) {
    std::error_code error;
    while (!bench.enough() && !error)
        co_await asio::async_write(client, asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
}

Task<> drop_answers(tcp::socket& client) {
    std::error_code error;
    std::string bytes(65536, '\0');
    while (!error)
        co_await client.async_read_some(asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
}

Task<http::Response> answer_request(Bench& bench, const http::Request&) {
    bench.work();
    co_return http::text("done\n");
}

Task<http::Response> read_pieces(Bench& bench, const http::Request& request) {
    while (const auto piece = co_await request.body().read()) {
        bench.work();
        if (bench.enough()) break;
    }
    co_return http::text("enough\n");
}

using Handler = Task<http::Response> (*)(Bench&, const http::Request&);

Task<> serve_until_closed(Bench& bench, TcpAcceptor& acceptor, Handler handler, bool& over) {
    const http::ServerOptions options{.max_requests = 1'000'000};
    co_await http::serve(bench, acceptor, handler, options);
    over = true;
}

Task<> serve_client(Bench& bench, Handler handler, std::string_view begin, std::string_view again) {
    TcpAcceptor acceptor(bench.io());
    tcp::socket client(bench.io());
    client.connect(tcp::endpoint(asio::ip::address_v4::loopback(), acceptor.port()));
    std::string more;
    while (more.size() < 60'000) more.append(again);
    asio::write(client, asio::buffer(begin));
    start(bench.io(), send_often(bench, client, more));
    start(bench.io(), drop_answers(client));
    bench.watch();
    bool over = false;
    start(bench.io(), serve_until_closed(bench, acceptor, handler, over));
    co_await until_enough(bench);
    client.close();
    acceptor.close();
    while (!over) co_await yield();
}

Task<> answers_pipelined(Bench& bench) {
    return serve_client(bench, &answer_request, "", "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

Task<> reads_small_chunks(Bench& bench) {
    return serve_client(bench, &read_pieces, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                        "1\r\nx\r\n");
}

struct Source {
    std::string_view name;
    std::chrono::microseconds cost; // of an event
    Task<> (*consume)(Bench&);
};

constexpr Source sources[] = {
    {"Channel::receive", 20us, &receives<Channel<Note>, &Channel<Note>::receive>},
    {"Channel::receive", 100us, &receives<Channel<Note>, &Channel<Note>::receive>},
    {"Channel::receive, shared memory", 20us, &receives<InShared, &InShared::receive>},
    {"Channel::receive, shared memory", 100us, &receives<InShared, &InShared::receive>},
    {"Channel::receive_mail", 20us, &receives<Channel<Note>, &Channel<Note>::receive_mail>},
    {"Channel::receive_mail", 100us, &receives<Channel<Note>, &Channel<Note>::receive_mail>},
    {"Channel::serve", 100us, &serves_calls},
    {"Master::receive", 20us, &receives_of_workers},
    {"Master::receive", 100us, &receives_of_workers},
    {"Master::serve", 100us, &serves_workers},
    {"Subscription::receive", 100us, &hears_a_topic},
    {"a control link", 20us, &hears_control},
    {"a control link", 100us, &hears_control},
    {"ChannelAcceptor::accept", 1ms, &accepts},
    {"http, pipelined requests", 300us, &answers_pipelined},
    {"http, a body in small chunks", 20us, &reads_small_chunks},
    {"http, a body in small chunks", 100us, &reads_small_chunks},
};

} // namespace

TEST_CASE("whatever comes all the time, and however long each event takes: other things on the loop have their turn") {
    for (const Source& source : sources) {
        CAPTURE(source.name);
        CAPTURE(source.cost.count());
        asio::io_context io(1);
        Bench bench(io, source.cost);
        run_for(io, source.consume(bench));
        const auto delay = bench.delay();
        CAPTURE(delay.count());
        if (std::getenv("COHORT_SHOW") != nullptr)
            std::printf("%-34s %6ld us: median delay %8ld us\n", std::string(source.name).c_str(),
                        static_cast<long>(source.cost.count()), static_cast<long>(delay.count()));
        CHECK(delay < 10ms);
        settle(io);
    }
}

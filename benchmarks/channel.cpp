// How fast are messages between a worker and its master?
// Run:    channel                (two free CPUs give the steadiest figures)
// Expect: a line for each figure, with the rival measured in the same run and the floor; exit code 1 below a floor.

#include <cohort/run.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <vector>

#include <sys/epoll.h>

using namespace cohort;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto run_time = std::chrono::milliseconds(1000);
constexpr int rounds = 5;

struct Note { // 76 bytes on the wire
    std::uint64_t number = 0;
    std::array<char, 68> text{};
};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

// One way: the worker sends as fast as it may, the master counts.

using OneWay = Master<Note>;

Task<> flood(OneWay::Worker& self) {
    Note note;
    while (!self.stopping()) {
        ++note.number;
        co_await self.send(note);
    }
}

Task<> count(OneWay& master, double& per_second) {
    std::uint64_t messages = 0;
    const auto begin = Clock::now();
    while (const auto mail = co_await master.receive()) {
        if (mail->message.number != ++messages) throw std::runtime_error("a message is missing");
        if (messages % 4096 != 0 || Clock::now() - begin < run_time) continue;
        per_second = static_cast<double>(messages) / seconds_since(begin);
        break;
    }
    master.kill_all();
}

// Both ways: one message goes to and fro.

Task<> echo(OneWay::Worker& self) {
    while (const auto note = co_await self.receive()) co_await self.send(*note);
}

Task<> ping(OneWay& master, double& microseconds) {
    const WorkerId worker = master.workers().front().id;
    Note note;
    std::uint64_t trips = 0;
    const auto begin = Clock::now();
    while (Clock::now() - begin < run_time) {
        note.number = trips++;
        co_await master.send(worker, note);
        const auto answer = co_await master.receive();
        if (!answer) break;
    }
    microseconds = seconds_since(begin) * 1e6 / static_cast<double>(trips);
    master.kill_all();
}

template <class Watch, class Work>
double measure(Watch watch, Work work) {
    double figure = 0;
    asio::io_context context(1);
    OneWay master(context);
    master.spawn(work);
    asio::co_spawn(context, watch(master, figure), asio::detached);
    context.run();
    return figure;
}

// The rival: two bare epoll loops on a socketpair, frames of the same size.

constexpr std::size_t frame_size = 16 + 76;

class BareEnd {
public:
    explicit BareEnd(int socket) : socket_(socket), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        epoll_event event{};
        event.events = EPOLLIN;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event);
    }
    bool receive(std::array<char, frame_size>& frame) {
        epoll_event event{};
        while (::epoll_wait(epoll_, &event, 1, -1) < 0) {
        }
        return ::recv(socket_, frame.data(), frame.size(), MSG_DONTWAIT) == static_cast<ssize_t>(frame.size());
    }
    void send(const std::array<char, frame_size>& frame) {
        [[maybe_unused]] const auto sent = ::send(socket_, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }

private:
    int socket_;
    int epoll_;
};

double measure_bare_round_trip() {
    std::array<int, 2> sockets{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) return 0;
    const pid_t child = ::fork();
    std::array<char, frame_size> frame{};
    if (child == 0) {
        ::close(sockets[0]);
        BareEnd end(sockets[1]);
        while (end.receive(frame)) end.send(frame);
        ::_exit(0);
    }
    ::close(sockets[1]);
    BareEnd end(sockets[0]);
    std::uint64_t trips = 0;
    const auto begin = Clock::now();
    for (; Clock::now() - begin < run_time; ++trips) {
        end.send(frame);
        end.receive(frame);
    }
    const double microseconds = seconds_since(begin) * 1e6 / static_cast<double>(trips);
    ::close(sockets[0]);
    ::waitpid(child, nullptr, 0);
    return microseconds;
}

bool report(const char* name, double figure, const char* unit, double bound, bool at_least) {
    const bool holds = at_least ? figure >= bound : figure <= bound;
    std::printf("%-44s %9.2f %-12s %s %.2f  %s\n", name, figure, unit, at_least ? "floor" : "ceiling", bound,
                holds ? "ok" : "FALLS SHORT");
    return holds;
}

} // namespace

int main() {
    std::vector<double> one_way, trip, bare, ratio;
    for (int round = 0; round < rounds; ++round) {
        one_way.push_back(measure(count, flood) / 1e6);
        bare.push_back(measure_bare_round_trip());
        trip.push_back(measure(ping, echo));
        ratio.push_back(trip.back() / bare.back());
    }
    bool holds = report("one way, 76 bytes, worker to master", median(one_way), "million/s", 4, true);
    std::printf("%-44s %9.2f us\n", "round trip, two bare epoll loops", median(bare));
    std::printf("%-44s %9.2f us\n", "round trip, master to worker and back", median(trip));
    holds = report("round trip against the bare loops", median(ratio), "times", 1.3, false) && holds;
    return holds ? 0 : 1;
}

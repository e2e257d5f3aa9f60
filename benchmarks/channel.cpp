// How fast are messages between a worker and its master?
// Run:    channel                (two free CPUs give the steadiest figures)
// Expect: a line for each figure, with the rival measured in the same run and the floor; exit code 1 below a floor.

#include <cohort/blob.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/run.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
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

// Two processes with a channel of their own: over a socket or over shared memory.

template <class Channel, class Far, class Near>
double measure_pair(ChannelLimits limits, Far far, Near near) {
    auto [mine, others] = detail::make_socketpair(SOCK_STREAM);
    const pid_t child = ::fork();
    asio::io_context context(1);
    if (child == 0) {
        mine.reset();
        Channel channel = Channel::accepted(context.get_executor(), std::move(others), limits);
        asio::co_spawn(context, far(channel), asio::detached);
        context.run();
        ::_exit(0);
    }
    others.reset();
    double figure = 0;
    {
        Channel channel(context.get_executor(), std::move(mine), limits);
        asio::co_spawn(context, near(channel, figure), asio::detached);
        context.run();
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return figure;
}

using Rings = Channel<Note, SharedMemory>;

/// In a loop where every nanosecond counts: only a full channel, or an empty one, is waited for.
Task<> flood_rings(Rings& channel) {
    Note note;
    for (;;) {
        ++note.number;
        if (!channel.try_send(note)) co_await channel.send(note);
    }
}

Task<> count_rings(Rings& channel, double& per_second) {
    std::uint64_t messages = 0;
    const auto begin = Clock::now();
    while (per_second == 0) {
        auto note = co_await channel.receive();
        while (note && per_second == 0) {
            if (note->number != ++messages) throw std::runtime_error("a message is missing");
            if (messages % 4096 == 0 && Clock::now() - begin >= run_time)
                per_second = static_cast<double>(messages) / seconds_since(begin);
            note = channel.try_receive();
        }
    }
    channel.close();
}

Task<> echo_rings(Rings& channel) {
    while (const auto note = co_await channel.receive()) co_await channel.send(*note);
}

Task<> ping_rings(Rings& channel, double& microseconds) {
    Note note;
    const auto begin = Clock::now();
    while (Clock::now() - begin < run_time) {
        ++note.number;
        co_await channel.send(note);
        const auto answer = co_await channel.receive();
        if (!answer) break;
    }
    microseconds = seconds_since(begin) * 1e6 / static_cast<double>(note.number);
    channel.close();
}

// 1 GiB in pieces of 1 MiB: as bytes in the message, and as blobs.

constexpr std::size_t piece_size = std::size_t{1} << 20;
constexpr int pieces = 1024;

struct Copied {
    std::vector<std::byte> bytes;
};
struct Shared {
    Blob bytes;
};

Blob make_piece() { return Blob::copy_of(std::vector<std::byte>(piece_size, std::byte{7})); }

Task<> send_copies(Channel<Copied>& channel) {
    const Copied piece{std::vector<std::byte>(piece_size, std::byte{7})};
    for (int i = 0; i < pieces; ++i) co_await channel.send(piece);
}

/// What a server does with what it has in memory: the same few go out again and again.
Task<> send_blobs_again(Channel<Shared>& channel) {
    std::vector<Shared> kept;
    for (int i = 0; i < 16; ++i) kept.push_back(Shared{make_piece()});
    for (int i = 0; i < pieces; ++i) co_await channel.send(kept[static_cast<std::size_t>(i) % kept.size()]);
}

Task<> send_fresh_blobs(Channel<Shared>& channel) {
    const std::vector<std::byte> source(piece_size, std::byte{7});
    for (int i = 0; i < pieces; ++i) {
        const Shared piece{Blob::copy_of(source)};
        co_await channel.send(piece);
    }
}

template <class Message>
Task<> receive_pieces(Channel<Message>& channel, double& gib_per_second) {
    Clock::time_point begin;
    for (int i = 0; i < pieces; ++i) {
        const auto piece = co_await channel.receive();
        if (i == 0) begin = Clock::now();
        const std::span<const std::byte> bytes = [&] {
            if constexpr (std::is_same_v<Message, Shared>)
                return piece->bytes.bytes();
            else
                return std::span<const std::byte>(piece->bytes);
        }();
        if (bytes.size() != piece_size || bytes.front() != std::byte{7} || bytes.back() != std::byte{7})
            throw std::runtime_error("a piece is damaged");
    }
    gib_per_second = 1 / seconds_since(begin);
    channel.close();
}

// The rivals: bare loops on a socketpair, frames of the same size; and Node.

constexpr std::size_t frame_size = 16 + 76;
using BareFrame = std::array<char, frame_size>;

class BareEnd {
public:
    BareEnd(int socket, bool blocking) : socket_(socket), blocking_(blocking) {
        epoll_event event{};
        event.events = EPOLLIN;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event);
    }
    bool receive(BareFrame& frame) {
        epoll_event event{};
        while (!blocking_ && ::epoll_wait(epoll_, &event, 1, -1) < 0) {
        }
        return ::recv(socket_, frame.data(), frame.size(), blocking_ ? MSG_WAITALL : MSG_DONTWAIT) ==
               static_cast<ssize_t>(frame.size());
    }
    bool send(const BareFrame& frame) {
        return ::send(socket_, frame.data(), frame.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size());
    }

private:
    int socket_;
    bool blocking_;
    int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
};

template <class Child, class Parent>
double between_processes(Child in_child, Parent in_parent) {
    std::array<int, 2> sockets{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) return 0;
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(sockets[0]);
        in_child(sockets[1]);
        ::_exit(0);
    }
    ::close(sockets[1]);
    const double figure = in_parent(sockets[0]);
    ::close(sockets[0]);
    ::waitpid(child, nullptr, 0);
    return figure;
}

double measure_bare_round_trip(bool blocking) {
    const auto echo_bare = [&](int socket) {
        BareEnd end(socket, blocking);
        BareFrame frame{};
        while (end.receive(frame) && end.send(frame)) {
        }
    };
    return between_processes(echo_bare, [&](int socket) {
        BareEnd end(socket, blocking);
        BareFrame frame{};
        std::uint64_t trips = 0;
        const auto begin = Clock::now();
        for (; Clock::now() - begin < run_time && end.send(frame) && end.receive(frame); ++trips) {
        }
        return seconds_since(begin) * 1e6 / static_cast<double>(trips);
    });
}

/// One write for each message.
double measure_bare_one_way() {
    const auto flood_bare = [](int socket) {
        BareEnd end(socket, true);
        const BareFrame frame{};
        while (end.send(frame)) {
        }
    };
    return between_processes(flood_bare, [](int socket) {
        std::vector<char> buffer(65536);
        std::uint64_t bytes = 0;
        const auto begin = Clock::now();
        while (Clock::now() - begin < run_time)
            bytes += static_cast<std::uint64_t>(::recv(socket, buffer.data(), buffer.size(), 0));
        return static_cast<double>(bytes / frame_size) / seconds_since(begin);
    });
}

constexpr const char* node_script = R"js(
const { fork } = require('child_process');
const note = { number: 0, text: 'x'.repeat(60) };
if (process.argv[2] === 'child') {
  process.on('message', (message) => {
    if (message !== 'flood') return process.send(message);
    const burst = () => { for (let i = 0; i < 500; ++i) process.send(note); process.send('burst', burst); };
    burst();
  });
} else {
  const child = fork(process.argv[1], ['child']);
  const begin = process.hrtime.bigint();
  const seconds = (since) => Number(process.hrtime.bigint() - since) / 1e9;
  let trips = 0, received = 0, flooding = 0;
  child.on('message', (message) => {
    if (flooding) {
      ++received;
      if (seconds(flooding) < 1) return;
      console.log(received / seconds(flooding), 1e6 / (trips / tripTime));
      child.kill('SIGKILL');
      process.exit(0);
    }
    ++trips;
    if (seconds(begin) < 1) return child.send(note);
    tripTime = seconds(begin);
    flooding = process.hrtime.bigint();
    child.send('flood');
  });
  let tripTime = 0;
  child.send(note);
}
)js";

/// Node's process.send: messages a second one way, and microseconds of a round trip. Zeros where there is no Node.
std::array<double, 2> measure_node() {
    std::array<double, 2> figures{};
    char path[] = "/tmp/cohort-node-XXXXXX";
    const detail::UniqueFd script(::mkstemp(path));
    const std::string text(node_script);
    if (::write(script.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
        const std::string command = "timeout 20 node " + std::string(path) + " 2>/dev/null";
        if (FILE* const output = ::popen(command.c_str(), "r")) {
            if (std::fscanf(output, "%lf %lf", figures.data(), figures.data() + 1) != 2) figures = {};
            ::pclose(output);
        }
    }
    ::unlink(path);
    return figures;
}

void tell(const char* name, double figure, const char* unit) {
    if (figure != 0) std::printf("%-52s %9.2f %s\n", name, figure, unit);
}

bool report(const char* name, double figure, const char* unit, double bound, bool at_least) {
    const bool holds = at_least ? figure >= bound : figure <= bound;
    std::printf("%-52s %9.2f %-12s %s %.2f  %s\n", name, figure, unit, at_least ? "floor" : "ceiling", bound,
                holds ? "ok" : "FALLS SHORT");
    return holds;
}

} // namespace

int main() {
    using Figures = std::vector<double>;
    std::map<std::string, Figures> all;
    for (int round = 0; round < rounds; ++round) {
        all["one way"].push_back(measure(count, flood) / 1e6);
        all["bare one way"].push_back(measure_bare_one_way() / 1e6);
        all["bare trip"].push_back(measure_bare_round_trip(false));
        all["trip"].push_back(measure(ping, echo));
        all["ratio"].push_back(all["trip"].back() / all["bare trip"].back());
        all["blocking trip"].push_back(measure_bare_round_trip(true));
        all["rings"].push_back(measure_pair<Rings>({.ring_size = 1 << 20}, flood_rings, count_rings) / 1e6);
        all["spin"].push_back(measure_pair<Rings>({.spin = std::chrono::milliseconds(1)}, echo_rings, ping_rings));
        all["copied"].push_back(measure_pair<Channel<Copied>>({}, send_copies, receive_pieces<Copied>));
        all["again"].push_back(measure_pair<Channel<Shared>>({}, send_blobs_again, receive_pieces<Shared>));
        all["fresh"].push_back(measure_pair<Channel<Shared>>({}, send_fresh_blobs, receive_pieces<Shared>));
        all["blobs"].push_back(all["again"].back() / all["copied"].back());
    }
    const auto node = measure_node();
    const auto figure = [&](const char* name) { return median(all[name]); };
    bool holds = report("one way, 76 bytes, worker to master", figure("one way"), "million/s", 8, true);
    tell("  the same, bare loops, a write for each", figure("bare one way"), "million/s");
    tell("  the same, Node's process.send", node[0] / 1e6, "million/s");
    tell("round trip, two bare epoll loops", figure("bare trip"), "us");
    tell("  the same, two bare blocking loops", figure("blocking trip"), "us");
    tell("  the same, Node's process.send", node[1], "us");
    tell("  the same, master to worker and back", figure("trip"), "us");
    holds = report("round trip against the bare epoll loops", figure("ratio"), "times", 1.1, false) && holds;
    holds = report("one way over shared memory", figure("rings"), "million/s", 25, true) && holds;
    holds = report("round trip over shared memory, spinning", figure("spin"), "us", 2, false) && holds;
    tell("1 GiB in messages of 1 MiB over the socket", figure("copied"), "GiB/s");
    tell("  the same as blobs, each made for one message", figure("fresh"), "GiB/s");
    tell("  the same as blobs that are sent again", figure("again"), "GiB/s");
    holds = report("blobs sent again against the socket", figure("blobs"), "times", 5, true) && holds;
    return holds ? 0 : 1;
}

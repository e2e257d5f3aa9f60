// SPDX-License-Identifier: MIT
// What a worker can make its master hold by listening, and how much of what others would serve it can have.
#include <cohort/master.hpp>

#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/system.hpp>

#include "support/client.hpp"
#include "support/handles.hpp"
#include "support/hostile.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <csignal>
#include <linux/filter.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

using namespace test;
using cohort::detail::Connections;
using cohort::detail::Listen;
using cohort::detail::Listening;
using cohort::detail::Lost;
using cohort::detail::UniqueFd;
using cohort::detail::Unlisten;

namespace {

constexpr unsigned credit = 16; // the default of Options::credit

std::size_t descriptor_count() { return open_descriptors().size(); }

/// A taken over worker that listens, and connects to itself.
class Squatter : public Hostile {
public:
    explicit Squatter(WorkerBase& self) : Hostile(self), core_(detail::Access::core(self)) {}

    /// Nothing: it was refused, which is noted.
    std::optional<Listening> listen(const Endpoint& endpoint) {
        tell(Listen{++request_, endpoint});
        auto answer = next<Listening>(10s);
        if (answer && answer->error == 0) return answer;
        refused_ = true;
        return std::nullopt;
    }
    bool is_refused() const noexcept { return refused_; }

    void connect(const Endpoint& endpoint, unsigned count = credit) {
        std::error_code error;
        const auto address = detail::to_socket_address(endpoint, error);
        for (unsigned i = 0; i < count; ++i) {
            const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            ::connect(client.get(), address.get(), address.size);
        }
    }
    /// So many connections that the master sends; fewer when it sends no more for a while.
    void receive(unsigned count = credit) {
        for (std::optional<Connections> some; count > 0 && (some = next<Connections>(50ms));)
            count -= std::min(count, some->count);
    }
    /// Says that it has taken so many.
    void settle(ListenerId listener, std::uint64_t count) {
        core_.page().cell(core_.identity().cell, listener).taken = count;
    }

    /// How many bytes wait to be read.
    std::size_t arrived() const {
        int size = 0;
        ::ioctl(control(), FIONREAD, &size);
        return static_cast<std::size_t>(size);
    }

    /// The next message of this kind; others, and all descriptors, are dropped.
    template <class M>
    std::optional<M> next(std::chrono::milliseconds time) {
        const auto deadline = std::chrono::steady_clock::now() + time;
        while (!ended() && std::chrono::steady_clock::now() < deadline) {
            std::array<std::byte, 8192> bytes;
            std::error_code error;
            const auto datagram = detail::receive_datagram(control(), bytes, error);
            pollfd arrival{control(), POLLIN, 0};
            if (error)
                ::poll(&arrival, 1, 1);
            else if (datagram.size == 0)
                break;
            else if (static_cast<std::uint8_t>(bytes[0]) == M::number)
                return read<M>(std::span(bytes).subspan(1, datagram.size - 1));
        }
        return std::nullopt;
    }

private:
    template <class M>
    static std::optional<M> read(std::span<const std::byte> payload) {
        M message;
        return decode(payload, message) ? std::nullopt : std::optional(std::move(message));
    }

    detail::WorkerCore& core_;
    std::uint32_t request_ = 0;
    bool refused_ = false;
};

std::atomic<int>& finished = make_shared_number();

struct ListenerAttack {
    std::string_view name;
    int rounds;
    std::size_t shares; // of the descriptors that it may have: share_of_descriptors()
    void (*go)(Squatter&, int round);
};

const Endpoint own_port = Endpoint::tcp("127.0.0.2", 0); // which no other worker asks for

/// With connections that it is sent and does not take.
std::optional<Listening> fill_own_port(Squatter& worker) {
    auto opened = worker.listen(own_port);
    if (!opened) return opened;
    worker.connect(opened->endpoint);
    worker.receive();
    return opened;
}

const ListenerAttack listener_attacks[] = {
    {"ports of its own, with connections of its own, closed before it takes these", 40, 3,
     [](Squatter& worker, int) {
         if (const auto opened = fill_own_port(worker)) worker.tell(Unlisten{opened->listener});
     }},
    {"the same, and they were lost, too", 5'000, 3,
     [](Squatter& worker, int) {
         const auto opened = fill_own_port(worker);
         if (!opened) return;
         worker.tell(Unlisten{opened->listener});
         worker.tell(Lost{opened->listener, 0, credit});
     }},
    {"ports of its own that stay open, with connections that it does not take", 30, 3,
     [](Squatter& worker, int) { fill_own_port(worker); }},
    {"connections that it says it has taken, and does not read", 800, 3,
     [](Squatter& worker, int round) {
         static Listening opened;
         if (round == 0) opened = worker.listen(own_port).value();
         const std::size_t before = worker.arrived();
         worker.connect(opened.endpoint, 1);
         for (int i = 0; i < 2 && worker.arrived() == before; ++i) ::poll(nullptr, 0, 1); // full at some time
         worker.settle(opened.listener, static_cast<std::uint64_t>(round) + 1);
     }},
    {"ports of its own with long queues, which it leaves", 12, 6,
     [](Squatter& worker, int round) {
         if (const auto opened = worker.listen(own_port)) worker.connect(opened->endpoint, 100);
         if (round == 11) worker.tell(detail::Leaving{});
     }},
};

const ListenerAttack* chosen_attack = nullptr;

template <class W>
Task<> attack_listener(W& self) {
    Squatter squatter(self);
    for (int round = 0; round < chosen_attack->rounds && !squatter.is_refused() && !squatter.ended(); ++round)
        chosen_attack->go(squatter, round);
    finished = 1;
    while (!squatter.ended()) co_await pause(self.context(), 1ms);
}

} // namespace

TEST_CASE("a worker that listens does not have its master run out of descriptors, and others are served") {
    const DescriptorLimit few(512);
    for (const ListenerAttack& one : listener_attacks) {
        CAPTURE(one.name);
        chosen_attack = &one;
        finished = 0;
        in_master<App>(plain_options(), [](App& app) -> Task<> {
            const WorkerId honest = app.spawn(server);
            const std::uint16_t port = co_await served_port(app);
            const std::size_t before = descriptor_count();
            app.spawn(attack_listener<App::Worker>);
            std::size_t most = 0;
            for (int after = 0; after < 5; after += finished) {
                const std::string reply = co_await ask(app, port);
                CHECK(who(reply) == honest);
                most = std::max(most, descriptor_count());
            }
            CHECK(most < before + chosen_attack->shares * cohort::detail::share_of_descriptors());
            const WorkerId another = app.spawn(server);
            Event event;
            while (event.worker != another) event = co_await next(app, WorkerState::listening);
            CHECK(event.endpoint->port() == port);
            app.kill_all();
            co_await app.until_finished();
        });
    }
}

namespace {

constexpr int worker_count = 3;
constexpr int clients_each = 12; // fewer than the credit

std::atomic<int>& port_to_crowd = make_shared_number();
std::atomic<int>& swallowed = make_shared_number();

/// Listens there often, and answers nobody.
Task<> crowd_out(App::Worker& self) {
    Squatter squatter(self);
    const Endpoint endpoint = Endpoint::tcp("127.0.0.1", static_cast<std::uint16_t>(port_to_crowd));
    for (int i = 0; i < 50; ++i) squatter.listen(endpoint);
    finished = 1;
    while (!squatter.ended())
        if (const auto some = squatter.next<Connections>(1s)) swallowed += static_cast<int>(some->count);
    co_return;
}

} // namespace

TEST_CASE("a worker that listens often on one address gets one share of the connections") {
    finished = swallowed = 0;
    Options options = plain_options();
    options.stuck_after = options.stuck_after.max(); // nothing is taken back
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 1; i < worker_count; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, worker_count - 1);
        port_to_crowd = port;
        app.spawn(crowd_out);
        while (finished == 0) co_await pause(app.context(), 1ms);
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), worker_count * clients_each);
        int served = 0;
        while (served + swallowed < worker_count * clients_each) {
            co_await pause(app.context(), 1ms);
            served = static_cast<int>(std::ranges::count_if(clients, [](Client& one) { return !one.is_silent(); }));
        }
        CHECK(swallowed.load() == clients_each);
        app.kill_all();
        co_await app.until_finished();
    });
}

namespace {

/// The kernel drops every packet, or gives all connections of the port's group to the first socket in it.
bool poison(int socket, int option) {
    sock_filter refuse_all[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    const sock_fprog program{1, refuse_all};
    return ::setsockopt(socket, SOL_SOCKET, option, &program, sizeof program) == 0;
}

std::atomic<int>& poisoned = make_shared_number();

/// Does to the socket that it was lent what the kernel lets it, and dies.
Task<> poison_and_die(SharedApp::Worker& self) {
    const auto lent = co_await self.listen(Endpoint::tcp("127.0.0.1", static_cast<std::uint16_t>(port_to_crowd)));
    for (const auto& [fd, what] : open_descriptors()) {
        if (!detail::is_enabled(fd, SOL_SOCKET, SO_ACCEPTCONN)) continue;
        poisoned += poison(fd, SO_ATTACH_FILTER) + poison(fd, SO_ATTACH_REUSEPORT_CBPF);
        ::shutdown(fd, SHUT_RDWR);
    }
    finished = 1;
    ::raise(SIGKILL);
}

} // namespace

TEST_CASE("a worker cannot spoil the listener that it is lent for those who follow") {
    finished = poisoned = 0;
    in_master<SharedApp>(plain_options(), [](SharedApp& app) -> Task<> {
        app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        port_to_crowd = port;
        const WorkerId hostile = app.spawn(poison_and_die);
        co_await end_of(app, hostile);
        CHECK(finished == 1);
        CHECK(poisoned == 0);
        const WorkerId successor = app.spawn(server); // in the same slot, with the same listener
        Event event;
        while (event.worker != successor) event = co_await next(app, WorkerState::listening);
        std::set<WorkerId> served;
        for (int i = 0; i != 100 && served.size() != 2; ++i) {
            const std::string reply = co_await ask(app, port);
            served.insert(who(reply));
        }
        CHECK(served == std::set<WorkerId>{1, successor});
        app.kill_all();
        co_await app.until_finished();
    });
}

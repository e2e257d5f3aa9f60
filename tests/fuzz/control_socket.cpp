// SPDX-License-Identifier: MIT
// A libFuzzer target: a control socket, and clients that send what the input says. Nothing may crash, leak, hang or
// keep descriptors, and a client that behaves is answered beside all that.
//
//     tests/fuzz/run.sh          builds all targets and runs them for a while
#include "control.hpp"
#include "target.hpp"

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fuzz {

namespace control = cohort::control;
namespace detail = cohort::detail;
using cohort::Task;

namespace {

Task<control::Nothing> wait_for_ever(const control::Nothing&) {
    asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    co_await never.async_wait(asio::use_awaitable);
    co_return control::Nothing{};
}

constexpr std::array names{"nothing", "events", "worker", "signal", "scale", "tree", "wait", "unknown"};

class Master {
public:
    Master() {
        options_.path = folder_ / "control";
        options_.clients = 4;
        socket_ = detail::share<detail::ControlSocket>(io_.get_executor(), options_, detail::UniqueFd());
        add<control::Nothing>(0, give_back<control::Nothing>);
        add<control::EventsFrom>(1, give_back<control::EventsFrom>);
        add<control::OfWorker>(2, give_back<control::OfWorker>);
        add<control::Signal>(3, give_back<control::Signal>);
        add<control::Scale>(4, give_back<control::Scale>);
        add<Tree>(5, give_back<Tree>);
        add<control::Nothing>(6, wait_for_ever);
        socket_->begin();
        poll();
    }
    Master(const Master&) = delete;
    Master& operator=(const Master&) = delete;

    detail::UniqueFd connect() {
        detail::UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        options_.path.copy(address.sun_path, sizeof address.sun_path - 1);
        const auto* const name = reinterpret_cast<const sockaddr*>(&address);
        require(::connect(client.get(), name, sizeof address) == 0, "it accepts");
        return client;
    }
    void poll() {
        io_.restart();
        io_.poll();
    }
    std::pair<std::uint64_t, std::uint64_t> hashes_of(std::size_t action) const {
        return action < hashes_.size() ? hashes_[action] : std::pair<std::uint64_t, std::uint64_t>{1, 1};
    }

private:
    struct Folder {
        Folder() {
            std::string name = "/tmp/cohort-fuzz-XXXXXX";
            require(::mkdtemp(name.data()) != nullptr, "there is a folder");
            path = name;
        }
        ~Folder() { std::filesystem::remove_all(path); }
        std::string operator/(const char* name) const { return path / name; }

        std::filesystem::path path;
    };

    template <class Argument, class Handler>
    void add(std::size_t number, Handler handler) {
        auto action = detail::make_action<Argument>(handler);
        hashes_[number] = {action.takes, action.gives};
        socket_->add(names.at(number), std::move(action));
    }

    Folder folder_;
    asio::io_context io_{1};
    cohort::ControlOptions options_;
    std::shared_ptr<detail::ControlSocket> socket_;
    std::array<std::pair<std::uint64_t, std::uint64_t>, names.size() - 1> hashes_{};
};

Master& master() {
    static auto* const only = new Master;
    return *only;
}

std::string frame(detail::FrameKind kind, std::uint64_t correlation, const std::string& payload) {
    detail::FrameHeader header;
    header.kind = kind;
    header.correlation = correlation;
    header.length = static_cast<std::uint32_t>(payload.size());
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) + payload;
}

std::string greeting() {
    return frame(detail::FrameKind::hello, 0, encoded(detail::greeting_of(detail::Schema::of<control::Request>())));
}

/// An action, called with the right hashes or others, and an argument of whatever bytes.
std::string next_request(Script& script, std::uint64_t correlation) {
    const std::uint8_t how = script.next();
    const std::size_t which = how % names.size();
    auto [takes, gives] = master().hashes_of(which);
    if (how & 64) ++takes;
    if (how & 128) ++gives;
    const std::string_view argument = script.take(script.next());
    const auto* const begin = reinterpret_cast<const std::byte*>(argument.data());
    const control::Request request{names.at(which), takes, gives, {begin, begin + argument.size()}};
    return frame(how & 32 ? detail::FrameKind::message : detail::FrameKind::call, correlation, encoded(request));
}

void send(const detail::UniqueFd& client, std::string_view bytes) {
    [[maybe_unused]] const auto sent = ::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

/// Several clients at a time, one more than there may be.
void talk(Script script) {
    std::array<detail::UniqueFd, 5> clients;
    std::uint64_t correlation = 0;
    while (!script.done()) {
        const std::uint8_t step = script.next();
        detail::UniqueFd& client = clients[step % clients.size()];
        if (!client) {
            client = master().connect();
            if (step & 128) send(client, greeting());
        }
        switch ((step / 8) % 4) {
            case 0: send(client, script.take(script.next())); break;
            case 1:
            case 2: send(client, next_request(script, ++correlation)); break;
            default: client.reset();
        }
        if (step & 64) master().poll();
    }
    for (detail::UniqueFd& client : clients) client.reset();
    master().poll();
}

/// Whatever others have said to it: who behaves is answered.
void ask_one_thing() {
    const detail::UniqueFd client = master().connect();
    const auto [takes, gives] = master().hashes_of(0);
    const control::Request request{names[0], takes, gives, detail::to_bytes(control::Nothing{})};
    send(client, greeting() + frame(detail::FrameKind::call, 1, encoded(request)));
    master().poll();
    std::array<char, 4096> reply{};
    const auto size = ::recv(client.get(), reply.data(), reply.size(), 0);
    const std::string text(reply.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
    require(text.size() > 2 * sizeof(detail::FrameHeader), "who behaves is answered");
}

} // namespace

void run(Script script) {
    const bool somebody_behaves = script.next() == 255;
    talk(script);
    if (somebody_behaves) ask_one_thing();
    master().poll();
    static const int idle = lowest_free_descriptor();
    require(lowest_free_descriptor() <= idle, "no descriptor is left");
}

std::vector<std::string> seeds() {
    using namespace std::string_literals;
    return {
        // Each action, called rightly, by several clients; one sends garbage, one goes.
        "\x08\xc8\0\0\xc9\1\x0c"s + std::string(12, '\1') + "\xca\2\4\1\0\0\0\xd0\3\x08"s + std::string(8, '\2') +
            "\xd1\5\3\0\0\0\x40\5hello\x58"s,
        "\xff\xc8\6\0\xc8\6\0\xd8\xc8\x42\0\xc9\x87\0"s,
    };
}

} // namespace fuzz

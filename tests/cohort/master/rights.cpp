// SPDX-License-Identifier: MIT
// What a worker may have its master open, when it has the master's rights and when it has given them up.
#include <cohort/master.hpp>

#include "support/client.hpp"
#include "support/folder.hpp"
#include "support/free_port.hpp"
#include "support/process.hpp"

#include <cohort/detail/socket/listen_socket.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace test;

namespace {

constexpr unsigned nobody = 65534;

/// Of this test process alone: several may run at a time.
const std::string loopback =
    "127.86." + std::to_string(::getpid() / 250 % 250) + "." + std::to_string(::getpid() % 250 + 1);
const Endpoint any = Endpoint::tcp(loopback, 0);

detail::UniqueFd open_socket(const Endpoint& endpoint, int type = SOCK_STREAM) {
    std::error_code error;
    return type == SOCK_STREAM ? detail::open_listener(endpoint, false, 10, error)
                               : detail::open_bound(endpoint, false, error, type);
}

/// Of those that only root may have; 0: none is free.
std::uint16_t free_privileged_port() {
    for (std::uint16_t port = 997; port > 900; --port)
        if (open_socket(Endpoint::tcp(loopback, port))) return port;
    return 0;
}

struct Wish {
    std::string name;
    Endpoint endpoint;
    bool is_datagram = false;
};
std::vector<Wish> wishes; // for bodies, set before the fork

/// All kinds of endpoints, and what keeps them possible.
struct Kinds {
    Kinds() {
        ::chmod(closed.path.c_str(), 0700);
        ::chmod(open.path.c_str(), 01777);
        wishes = {{"privileged port", Endpoint::tcp(loopback, free_privileged_port())},
                  {"port 0", any},
                  {"high port", Endpoint::tcp(loopback, free_port())},
                  {"path in a closed folder", Endpoint::unix_path(closed / "socket")},
                  {"path in an open folder", Endpoint::unix_path(open / "socket")},
                  {"inherited", Endpoint::inherited(private_listener.get())},
                  {"inherited datagrams", Endpoint::inherited(private_datagrams.get()), true},
                  {"privileged datagram port", Endpoint::tcp(loopback, free_privileged_port()), true},
                  {"datagram port 0", any, true}};
    }
    Folder closed;
    Folder open;
    detail::UniqueFd private_listener = open_socket(any);
    detail::UniqueFd private_datagrams = open_socket(any, SOCK_DGRAM);
};

Task<> bind_and_close(WorkerBase& self, Endpoint endpoint) { const auto socket = co_await self.bind(endpoint); }

Task<> listen_and_close(WorkerBase& self, Endpoint endpoint) { const auto listener = co_await self.listen(endpoint); }

Task<std::string> try_wish(WorkerBase& self, std::size_t number) {
    const Wish wish = wishes[number];
    std::string result = wish.name + ": granted";
    try {
        if (wish.is_datagram) {
            co_await bind_and_close(self, wish.endpoint);
        } else {
            co_await listen_and_close(self, wish.endpoint);
        }
    } catch (const std::system_error& error) {
        result = wish.name + ": " + error.code().message();
    }
    co_return result;
}

template <class W>
Task<> wish_for_all(W& self) {
    for (std::size_t i = 0; i != wishes.size(); ++i) {
        const std::string result = co_await try_wish(self, i);
        co_await say(self, result);
    }
    co_await self.until_stopping();
}

/// Each wish's fate.
using Fates = std::map<std::string, std::string>;

template <class A>
Fates fates_of(Options options) {
    Fates fates;
    in_master<A>(std::move(options), [&fates](A& app) -> Task<> {
        app.spawn(wish_for_all<typename A::Worker>);
        while (fates.size() != wishes.size()) {
            const auto said = co_await mail(app);
            const std::string& text = said.message.text;
            fates[text.substr(0, text.find(": "))] = text.substr(text.find(": ") + 2);
        }
    });
    return fates;
}

void check_all(const Fates& fates, const std::string& expected) {
    for (const auto& [name, fate] : fates) {
        CAPTURE(name);
        CHECK(fate == expected);
    }
}

void be_nobody_later(Options& options) {
    options.hooks.in_worker = [](WorkerId, unsigned) {
        if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
            ::setresuid(nobody, nobody, nobody) != 0)
            throw std::runtime_error("setresuid");
    };
}

void be_nobody(Options& options) {
    options.worker.uid = nobody;
    options.worker.gid = nobody;
}

void drop_capabilities(Options& options) {
    options.hooks.in_worker = [](WorkerId, unsigned) {
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        __user_cap_data_struct none[2] = {};
        if (::syscall(SYS_capset, &header, none) != 0) throw std::runtime_error("capset");
    };
}

using GiveUp = void (*)(Options&);

bool is_root() {
    if (::geteuid() == 0 && free_privileged_port() != 0) return true;
    MESSAGE("skipped: only root can lend its rights");
    return false;
}

} // namespace

TEST_CASE_TEMPLATE("a worker that has given up rights gets what the options name, and nothing else", A, App,
                   SharedApp) {
    if (!is_root()) return;
    for (const GiveUp give_up : {&be_nobody, &be_nobody_later, &drop_capabilities}) {
        const Kinds kinds;
        Options options = plain_options();
        give_up(options);
        check_all(fates_of<A>(options), "Permission denied");
        for (const Wish& wish : wishes) options.may_listen.push_back(wish.endpoint);
        check_all(fates_of<A>(options), "granted");
        // Named one by one: nothing of the others comes with it. What `listen` names is open before.
        options.may_listen = {wishes[1].endpoint}; // port 0, of streams and of datagrams
        options.listen = {wishes[3].endpoint};
        for (const auto& [name, fate] : fates_of<A>(options)) {
            CAPTURE(name);
            const bool is_named = name == "port 0" || name == "datagram port 0" || name == "path in a closed folder";
            CHECK(fate == (is_named ? "granted" : "Permission denied"));
        }
    }
}

TEST_CASE_TEMPLATE("a worker with the rights of its master may ask for anything that this may have", A, App,
                   SharedApp) {
    const Kinds kinds;
    if (::geteuid() != 0) std::erase_if(wishes, [](const Wish& wish) { return wish.name.starts_with("privileged"); });
    check_all(fates_of<A>(plain_options()), "granted");
}

namespace {

Task<> ask_by_number(App::Worker& self) {
    const auto first = co_await self.listen(wishes[1].endpoint);
    const auto again = co_await self.listen(Endpoint::tcp(loopback, first.port()));
    const std::string other = co_await try_wish(self, 2);
    const std::string result = again.port() == first.port() ? other : "another port";
    co_await say(self, result);
}

} // namespace

TEST_CASE("the number that was assigned for a port 0 that is named is named, too") {
    if (!is_root()) return;
    const Kinds kinds;
    Options options = plain_options();
    be_nobody(options);
    options.may_listen = {wishes[1].endpoint};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(ask_by_number);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "high port: Permission denied");
    });
}

TEST_CASE("that a worker may not have something is said once for each worker") {
    if (!is_root()) return;
    const Kinds kinds;
    Helper helper([] {
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        Options options = plain_options();
        be_nobody(options);
        fates_of<App>(options);
        return 0;
    });
    CHECK(helper.line() == "cohort: worker 1: may not listen on " + wishes[0].endpoint.to_string() +
                               ": it has fewer rights than its master, and neither Options::listen nor "
                               "Options::may_listen has it");
    CHECK(helper.rest().find("may not") == std::string::npos);
    CHECK(helper.wait().code() == 0);
}

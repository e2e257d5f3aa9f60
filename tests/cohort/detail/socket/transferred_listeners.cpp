// SPDX-License-Identifier: MIT
#include <cohort/detail/socket/transferred_listeners.hpp>

#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/mode/round_robin.hpp>
#include <cohort/mode/shared_socket.hpp>

#include <support/client.hpp>
#include <support/folder.hpp>
#include <support/mode_fixture.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <filesystem>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

using namespace cohort::detail;
using cohort::Endpoint;
using cohort::OpenListener;

namespace {

const Endpoint any("127.0.0.1:0");

/// What one dispatcher has, as the next master gets it.
TransferredListeners pass_on(const std::vector<OpenListener>& listeners) {
    TransferredListeners passed;
    for (const auto& each : listeners) passed.add(each.requested, each.slot, duplicate(each.descriptor));
    return passed;
}

/// The dispatcher of a master that was started with what another one had.
template <class M>
struct NextMaster {
    explicit NextMaster(asio::io_context& io, TransferredListeners its) : passed(std::move(its)) {
        for (cohort::WorkerId id = 1; id <= 3; ++id) page.acquire_worker(id);
        dispatcher = M::make_dispatcher({io.get_executor(), page, ledger, options, &passed});
    }
    TransferredListeners passed;
    SharedPage page;
    Ledger ledger;
    cohort::Options options{};
    std::unique_ptr<cohort::Dispatcher> dispatcher;
};

} // namespace

TEST_CASE("a listener is taken once, for the slot that it is of") {
    TransferredListeners passed;
    passed.add(any, 2, UniqueFd(::dup(0)));
    passed.add(any, 0, UniqueFd(::dup(0)));
    passed.add("127.0.0.1:80", 0, UniqueFd(::dup(0)));
    CHECK(passed.slots(any) == std::vector<unsigned>{2, 0});
    CHECK_FALSE(passed.take(any, 1));
    CHECK(passed.take(any, 2));
    CHECK_FALSE(passed.take(any, 2));
    CHECK(passed.slots(any) == std::vector<unsigned>{0});
    passed.end();
    CHECK(passed.slots("127.0.0.1:80").empty());
}

TEST_CASE("those that nobody takes end: nobody can connect, and no file is left but that of another socket") {
    const test::Folder folder;
    std::error_code error;
    const auto open_at = [&](const Endpoint& endpoint) { return open_path_listener(endpoint, 8, error); };
    const Endpoint left = Endpoint::unix_path(folder / "left");
    const Endpoint replaced = Endpoint::unix_path(folder / "replaced");
    UniqueFd tcp = open_listener(any, false, 8, error);
    const Endpoint port = bound_endpoint(tcp.get(), any);
    UniqueFd from_elsewhere = open_listener(any, false, 8, error);
    const Endpoint elsewhere = bound_endpoint(from_elsewhere.get(), any);
    TransferredListeners passed;
    passed.add(left, 0, open_at(left));
    passed.add(replaced, 0, open_at(replaced));
    std::filesystem::remove(folder / "replaced");
    const UniqueFd another = open_at(replaced);
    REQUIRE_FALSE(error);
    const UniqueFd copy = duplicate(tcp.get()); // as a process has it that was forked meanwhile
    passed.add(any, 0, std::move(tcp));
    passed.add(Endpoint::inherited(from_elsewhere.get()), 0, duplicate(from_elsewhere.get()));
    CHECK(test::connected(port));
    passed.end();
    CHECK_FALSE(test::connected(port));
    CHECK_FALSE(test::connected(left));
    CHECK_FALSE(std::filesystem::exists(folder / "left"));
    CHECK(test::connected(replaced));
    CHECK(test::connected(elsewhere));
}

TEST_CASE("a listener is taken with the backlog and the sharing of who takes it, if it is cohort's own") {
    struct Row {
        Endpoint requested;
        bool reuse_port;
        int backlog;
    };
    for (const Row& row : {Row{any, false, 7}, Row{any, true, 7}, Row{Endpoint::inherited(9), false, 3}}) {
        CAPTURE(row.requested.to_string());
        std::error_code error;
        TransferredListeners passed;
        passed.add(row.requested, 0, open_listener(any, false, 3, error));
        const UniqueFd taken = take_listener(&passed, row.requested, 0, row.reuse_port, 7);
        REQUIRE(taken);
        tcp_info info{};
        socklen_t size = sizeof info;
        REQUIRE(::getsockopt(taken.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
        CHECK(info.tcpi_sacked == static_cast<unsigned>(row.backlog)); // Linux: the backlog of a listening socket
        CHECK(is_enabled(taken.get(), SOL_SOCKET, SO_REUSEPORT) == row.reuse_port);
        CHECK_FALSE(take_listener(&passed, row.requested, 0, row.reuse_port, 7));
    }
    CHECK_FALSE(take_listener(nullptr, any, 0, false, 7));
}

TEST_CASE_TEMPLATE("who has connected to the master before is served by the next one", M, cohort::RoundRobin,
                   cohort::SharedSocket) {
    test::ModeFixture<M> before;
    auto& first = before.add(0);
    auto& second = before.add(1);
    before.open(first, any); // they do not accept
    before.open(second, any);
    const Endpoint bound = first.grant.endpoint;
    NextMaster<M> next(before.io, pass_on(before.dispatcher.listeners()));
    auto& new_master = before.add(0);
    new_master.grant = next.dispatcher->open(new_master.target, any);
    REQUIRE_FALSE(new_master.grant.error);
    CHECK(new_master.grant.endpoint == bound);
    before.dispatcher.stop(true);
    for (int i = 0; i < 20; ++i) CHECK(before.connect(bound) == 0);
    std::uint32_t waiting = 0;
    for (const auto& queue : next.dispatcher->queues()) waiting += queue.length;
    CHECK(waiting == 20);
}

// SPDX-License-Identifier: MIT
#include <cohort/detail/control/control_link.hpp>

#include <cohort/detail/control/control_message.hpp>
#include <cohort/detail/system/fd_passing.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/child.hpp>
#include <support/faulty_system.hpp>
#include <support/run_for.hpp>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>

using cohort::Errc;
using namespace cohort::detail;

namespace {

using Left = TypedLink<FromMaster, FromWorker>;
using Right = TypedLink<FromWorker, FromMaster>;

struct Pair {
    Pair() {
        auto [a, b] = make_socketpair(SOCK_SEQPACKET);
        left = std::make_shared<Left>(io.get_executor(), std::move(a));
        right = std::make_shared<Right>(io.get_executor(), std::move(b));
    }
    ~Pair() {
        left->close();
        right->close();
    }
    bool send(std::uint32_t number, std::span<const int> descriptors = {}) {
        return left->send(Connections{number, number, static_cast<std::uint32_t>(descriptors.size())}, descriptors);
    }

    asio::io_context io;
    std::shared_ptr<Left> left;
    std::shared_ptr<Right> right;
};

struct Inbox {
    std::vector<std::uint32_t> numbers;
    std::vector<std::size_t> descriptors;
    bool ended = false;
};

cohort::Task<> receive_all(std::shared_ptr<Right> link, Inbox& inbox) {
    for (;;) {
        auto packet = co_await link->receive();
        if (!packet) break;
        inbox.numbers.push_back(packet->read<Connections>().listener);
        inbox.descriptors.push_back(packet->descriptors.size());
    }
    inbox.ended = true;
}

UniqueFd make_file() { return UniqueFd(::memfd_create("test", MFD_CLOEXEC)); }

void check_order(const Inbox& inbox, std::uint32_t count) {
    REQUIRE(inbox.numbers.size() == count);
    for (std::uint32_t i = 0; i < count; ++i) CHECK(inbox.numbers[i] == i);
}

} // namespace

TEST_CASE("messages with and without descriptors arrive in order, then the end") {
    Pair pair;
    const auto file = make_file();
    const std::array two{file.get(), file.get()};
    CHECK(pair.send(0));
    CHECK(pair.send(1, two));
    CHECK(pair.send(2));
    CHECK(pair.left->all_sent());
    Inbox inbox;
    test::start(pair.io, receive_all(pair.right, inbox));
    test::run_until(pair.io, [&] { return inbox.numbers.size() == 3; });
    check_order(inbox, 3);
    CHECK(inbox.descriptors == std::vector<std::size_t>{0, 2, 0});
    CHECK_FALSE(pair.right->ended());

    pair.left->close();
    CHECK_FALSE(pair.send(3));
    test::run_until(pair.io, [&] { return inbox.ended; });
    CHECK(pair.right->ended());
    CHECK_FALSE(pair.right->send(Leaving{}));
}

TEST_CASE("what the kernel does not take now is kept with its descriptors, and goes out in order") {
    Pair pair;
    constexpr std::uint32_t count = 2000; // more than a socket holds
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto file = make_file(); // closed before it is sent
        const int number = file.get();
        REQUIRE(pair.send(i, std::span(&number, i % 100 == 0 ? 1U : 0U)));
    }
    CHECK_FALSE(pair.left->all_sent());
    Inbox inbox;
    test::start(pair.io, receive_all(pair.right, inbox));
    test::run_until(pair.io, [&] { return inbox.numbers.size() == count; });
    check_order(inbox, count);
    for (std::uint32_t i = 0; i < count; ++i) CHECK(inbox.descriptors[i] == (i % 100 == 0 ? 1 : 0));
    CHECK(pair.left->all_sent());
}

TEST_CASE("a kernel that is out of something for now is asked again") {
    for (const int failure : {EAGAIN, ETOOMANYREFS, ENOBUFS, ENOMEM, EINTR}) {
        CAPTURE(failure);
        Pair pair;
        test::FaultySystem system;
        system.failure = failure;
        system.fail_every = 2;
        for (std::uint32_t i = 0; i < 20; ++i) CHECK(pair.send(i));
        system.fail_next = 3;
        Inbox inbox;
        test::start(pair.io, receive_all(pair.right, inbox));
        if (failure != EAGAIN && failure != EINTR) system.fail_every = 0; // they would end the receiver
        test::run_until(pair.io, [&] { return inbox.numbers.size() == 20 || inbox.ended; });
        if (!inbox.ended) check_order(inbox, 20);
    }
}

TEST_CASE("what has arrived can be asked without taking it") {
    Pair pair;
    CHECK_FALSE(pair.right->has_arrived());
    REQUIRE(pair.send(1));
    CHECK(pair.right->has_arrived());
    CHECK(pair.right->try_receive());
    CHECK_FALSE(pair.right->has_arrived());
    pair.left->close();
    CHECK_FALSE(pair.right->has_arrived()); // the end is nothing that takes room
    CHECK_FALSE(pair.right->try_receive());
}

TEST_CASE("what was sent by one that had not read everything when it closed arrives all the same") {
    Pair pair;
    const auto file = make_file();
    const std::array one{file.get()};
    REQUIRE(pair.right->send(Leaving{})); // stays unread
    for (std::uint32_t i = 0; i != 3; ++i) CHECK(pair.send(i, one));
    pair.left->close();
    Inbox inbox;
    test::start(pair.io, receive_all(pair.right, inbox));
    test::run_until(pair.io, [&] { return inbox.ended; });
    check_order(inbox, 3);
    CHECK(inbox.descriptors == std::vector<std::size_t>{1, 1, 1});
}

TEST_CASE("sending to an other side that is gone says so") {
    Pair pair;
    pair.right->close();
    CHECK_FALSE(pair.send(0));
    CHECK(pair.left->all_sent());
}

TEST_CASE("bytes that are no control message are an error, and the next message is read") {
    asio::io_context io;
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    const auto link = std::make_shared<Right>(io.get_executor(), std::move(b));
    const auto before = OwnedDescriptors::all().size();
    const auto file = make_file();
    const int number = file.get();
    std::vector<std::byte> huge(10'000);
    REQUIRE(send_datagram(a.get(), std::as_bytes(std::span("\xff")), std::span(&number, 1)));
    REQUIRE(send_datagram(a.get(), huge, std::span(&number, 1)));
    Buffer good;
    encode_message(Stop{}, good);
    REQUIRE(send_datagram(a.get(), good.bytes(), {}));

    CHECK(test::error_of([&] { link->try_receive(); }) == Errc::bad_message);
    CHECK(test::error_of([&] { link->try_receive(); }) == Errc::message_too_large);
    CHECK(OwnedDescriptors::all().size() == before + 1); // nothing that came along is left open
    const auto packet = link->try_receive();
    REQUIRE(packet);
    CHECK(packet->holds<Stop>());
    link->close();
}

TEST_CASE("descriptors that did not fit in this process are reported with their message") {
    Pair pair;
    const auto file = make_file();
    const std::vector<int> many(8, file.get());
    REQUIRE(pair.send(0, many));
    const int code = test::in_child([&] {
        const int highest = pair.right->native_handle() + 8;
        const rlimit limit{static_cast<rlim_t>(highest), static_cast<rlim_t>(highest)};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        const auto packet = pair.right->try_receive();
        if (!packet || !packet->descriptors_lost) return 2;
        return packet->descriptors.size() < 8 ? 0 : 3;
    });
    CHECK(code == 0);
}

TEST_CASE("a sender at its descriptor limit loses no message, at most what was to go along") {
    const int code = test::in_child([] {
        Pair pair;
        const auto file = make_file();
        const std::array two{file.get(), file.get()};
        test::FaultySystem system;
        system.fail_next = 4;
        const int next = ::dup(0);
        ::close(next);
        const rlimit limit{static_cast<rlim_t>(next) + 1, static_cast<rlim_t>(next) + 1};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        for (std::uint32_t i = 0; i < 4; ++i)
            if (!pair.send(i, two)) return 2;
        system.fail_next = 0;
        Inbox inbox;
        test::start(pair.io, receive_all(pair.right, inbox));
        test::run_until(
            pair.io, [&] { return inbox.numbers.size() == 4; }, std::chrono::seconds(5));
        return inbox.numbers == std::vector<std::uint32_t>{0, 1, 2, 3} ? 0 : 3;
    });
    CHECK(code == 0);
}

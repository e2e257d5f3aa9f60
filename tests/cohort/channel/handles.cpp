// SPDX-License-Identifier: MIT
#include <cohort/channel.hpp>

#include <doctest/doctest.h>

#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/handle.hpp>

#include <support/child.hpp>
#include <support/faulty_system.hpp>
#include <support/process.hpp>
#include <support/run_for.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/read.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

using cohort::Channel;
using cohort::Errc;
using cohort::Handle;
using cohort::Task;
using namespace cohort::detail;

namespace parcels {

struct Parcel {
    std::uint64_t number = 0;
    std::string padding;
    std::vector<Handle> handles;
};

} // namespace parcels

using parcels::Parcel;

namespace {

ino_t file_of(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/// A file that says which message it belongs to.
Handle file(std::uint64_t number) {
    Handle handle(::memfd_create("parcel", MFD_CLOEXEC));
    REQUIRE(::pwrite(handle.get(), &number, sizeof number, 0) == sizeof number);
    return handle;
}

std::uint64_t number_in(const Handle& handle) {
    std::uint64_t number = ~std::uint64_t{0};
    static_cast<void>(::pread(handle.get(), &number, sizeof number, 0));
    return number;
}

/// How many descriptors message number i has.
std::size_t count_for(std::uint64_t i) { return i % 3 == 0 ? 0 : i % 7; }

Task<> send_parcels(Channel<Parcel>& channel, std::uint64_t count, std::size_t padding = 50) {
    for (std::uint64_t i = 0; i < count; ++i) {
        Parcel parcel{i, std::string(padding, 'x'), {}};
        for (std::size_t n = count_for(i); n > 0; --n) parcel.handles.push_back(file(i));
        co_await channel.send(parcel);
    }
    channel.finish();
}

Task<> receive_parcels(Channel<Parcel>& channel, std::uint64_t& right) {
    for (std::uint64_t i = 0;; ++i) {
        const auto parcel = co_await channel.receive();
        if (!parcel) break;
        bool good = parcel->number == i && parcel->handles.size() == count_for(i);
        for (const auto& handle : parcel->handles) good = good && number_in(handle) == i;
        right += good;
    }
}

Task<> send_one(Channel<Parcel>& channel, Parcel parcel) { co_await channel.send(parcel); }

Task<> receive_one(Channel<Parcel>& channel, Parcel& parcel) {
    auto received = co_await channel.receive();
    REQUIRE(received);
    parcel = std::move(*received);
}

#if !defined(COHORT_SANITIZED)
/// What `action` throws while there are no more descriptors.
template <class Action>
std::error_code error_without_descriptors(Action action) {
    std::exception_ptr failure;
    {
        const test::DescriptorLimit full(test::lowest_free_descriptor());
        try {
            action();
        } catch (...) {
            failure = std::current_exception();
        }
    }
    return test::error_of([&] {
        if (failure) std::rethrow_exception(failure);
    });
}
#endif

} // namespace

TEST_CASE("messages with and without descriptors keep their order, each with its own, and none is left over") {
    const auto before = test::open_descriptors().size();
    {
        asio::io_context io;
        auto [a, b] = Channel<Parcel>::pair(io.get_executor());
        std::uint64_t right = 0;
        test::start(io, send_parcels(a, 500));
        test::run_for(io, receive_parcels(b, right));
        CHECK(right == 500);
    }
    CHECK(test::open_descriptors().size() == before);
}

TEST_CASE("however the bytes are cut, the descriptors stay with their messages") {
    for (const std::size_t most : {1U, 7U, 16U, 17U, 40U}) {
        CAPTURE(most);
        test::FaultySystem system;
        system.most_sent = most;
        system.most_received = most == 16 ? test::FaultySystem::any : most + 3;
        system.fail_every = 5;
        asio::io_context io;
        auto [a, b] = Channel<Parcel>::pair(io.get_executor(), {.high_water = 300});
        std::uint64_t right = 0;
        test::start(io, send_parcels(a, 60));
        test::run_for(io, receive_parcels(b, right));
        CHECK(right == 60);
    }
}

TEST_CASE("the kernel's limits on descriptors in flight delay a message, no more") {
    for (const int limit : {ETOOMANYREFS, ENOBUFS, ENOMEM}) {
        test::FaultySystem system;
        asio::io_context io;
        auto [a, b] = Channel<Parcel>::pair(io.get_executor());
        test::settle(io);
        system.failure = limit;
        system.fail_next = 1; // the first write
        std::uint64_t right = 0;
        test::start(io, send_parcels(a, 5));
        test::run_for(io, receive_parcels(b, right));
        CHECK(right == 5);
    }
}

TEST_CASE("the sender may close its own as soon as the message is queued, and also keep it") {
    asio::io_context io;
    auto [a, b] = Channel<Parcel>::pair(io.get_executor(), {.high_water = 1});
    Parcel kept{1, {}, {}};
    kept.handles.push_back(file(1));
    for (std::uint64_t i = 2; i < 50; ++i) {
        Parcel closed{i, std::string(10'000, 'x'), {}};
        closed.handles.push_back(file(i));
        [[maybe_unused]] const auto queued = a.send(closed);
    }
    [[maybe_unused]] const auto queued = a.send(kept);
    for (std::uint64_t i = 2; i < 50; ++i) {
        Parcel parcel;
        test::run_for(io, receive_one(b, parcel));
        CHECK(number_in(parcel.handles.at(0)) == i);
    }
    Parcel parcel;
    test::run_for(io, receive_one(b, parcel));
    CHECK(file_of(parcel.handles.at(0).get()) == file_of(kept.handles[0].get()));
    CHECK(parcel.handles[0].get() != kept.handles[0].get());
}

TEST_CASE("the same descriptor may be sent twice, in one message and in two") {
    asio::io_context io;
    auto [a, b] = Channel<Parcel>::pair(io.get_executor());
    const Handle original = file(5);
    for (int i = 0; i < 2; ++i) {
        Parcel sent{0, {}, {}};
        sent.handles.push_back(Handle::copy_of(original.get()));
        sent.handles.push_back(Handle::copy_of(original.get()));
        Parcel parcel;
        test::run_for(io, send_one(a, std::move(sent)));
        test::run_for(io, receive_one(b, parcel));
        REQUIRE(parcel.handles.size() == 2);
        CHECK(number_in(parcel.handles[0]) == 5);
        CHECK(number_in(parcel.handles[1]) == 5);
    }
}

TEST_CASE("both sides may flood each other with descriptors without stopping each other") {
    asio::io_context io;
    auto [a, b] = Channel<Parcel>::pair(io.get_executor(), {.high_water = 1000});
    std::uint64_t at_a = 0;
    std::uint64_t at_b = 0;
    test::start(io, send_parcels(a, 400, 1000));
    test::start(io, send_parcels(b, 400, 1000));
    test::start(io, receive_parcels(a, at_a));
    test::start(io, receive_parcels(b, at_b));
    test::run_until(io, [&] { return at_a == 400 && at_b == 400; });
}

TEST_CASE("a message may bear as many descriptors as the kernel passes at once, and 800 kB beside them") {
    asio::io_context io;
    auto [a, b] = Channel<Parcel>::pair(io.get_executor());
    Parcel sent{9, std::string(800'000, 'p'), {}};
    const Handle original = file(9);
    for (std::size_t i = 0; i < max_descriptors; ++i) sent.handles.push_back(Handle::copy_of(original.get()));
    test::start(io, send_one(a, std::move(sent)));
    Parcel parcel;
    test::run_for(io, receive_one(b, parcel));
    CHECK(parcel.padding.size() == 800'000);
    REQUIRE(parcel.handles.size() == max_descriptors);
    CHECK(std::ranges::all_of(parcel.handles, [](const Handle& handle) { return number_in(handle) == 9; }));
}

TEST_CASE("sockets and listeners of all kinds work on the other side") {
    const int code = test::in_child([] {
        asio::io_context io;
        using tcp = asio::ip::tcp;
        using udp = asio::ip::udp;
        tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
        const auto address = acceptor.local_endpoint();
        tcp::socket client(io);
        client.connect(address);
        tcp::socket server = acceptor.accept();
        udp::socket datagrams(io, {asio::ip::address_v4::loopback(), 0});
        const auto datagram_address = datagrams.local_endpoint();
        auto [one, other] = make_socketpair(SOCK_STREAM);

        auto [a, b] = Channel<Parcel>::pair(io.get_executor());
        Parcel sent;
        sent.handles.emplace_back(std::move(acceptor));
        sent.handles.emplace_back(std::move(server));
        sent.handles.emplace_back(std::move(datagrams));
        sent.handles.emplace_back(std::move(one));
        Parcel received;
        test::run_for(io, send_one(a, std::move(sent)));
        test::run_for(io, receive_one(b, received));

        tcp::acceptor acceptor_there(io, tcp::v4(), received.handles.at(0).release());
        tcp::socket second(io);
        second.connect(address);
        acceptor_there.accept().send(asio::buffer("accepted", 8));
        char text[8] = {};
        asio::read(second, asio::buffer(text));
        if (std::string_view(text, 8) != "accepted") return 1;

        tcp::socket server_there(io, tcp::v4(), received.handles.at(1).release());
        server_there.send(asio::buffer("connected"));
        asio::read(client, asio::buffer(text));
        if (std::string_view(text, 8) != "connecte") return 2;

        udp::socket datagrams_there(io, udp::v4(), received.handles.at(2).release());
        udp::socket sender(io, udp::v4());
        sender.send_to(asio::buffer("datagram", 8), datagram_address);
        if (datagrams_there.receive(asio::buffer(text)) != 8) return 3;

        if (::send(received.handles.at(3).get(), "x", 1, 0) != 1 || ::recv(other.get(), text, 1, 0) != 1) return 4;
        return 0;
    });
    CHECK(code == 0);
}

#if !defined(COHORT_SANITIZED) // its checks of exceptions need descriptors themselves
TEST_CASE("a receiver at its descriptor limit is told, loses only that message, and leaks nothing") {
    const int code = test::in_child([] {
        asio::io_context io;
        auto [a, b] = Channel<Parcel>::pair(io.get_executor());
        Parcel sent{1, {}, {}};
        for (int i = 0; i < 5; ++i) sent.handles.push_back(file(1));
        test::run_for(io, send_one(a, std::move(sent)));
        test::run_for(io, send_one(a, Parcel{2, "no descriptors", {}}));
        const auto before = test::open_descriptors().size();
        Parcel received;
        const auto error = error_without_descriptors([&] { test::run_for(io, receive_one(b, received)); });
        if (error != Errc::descriptors_lost) return 1;
        test::run_for(io, receive_one(b, received));
        if (received.number != 2) return 2;
        return test::open_descriptors().size() == before ? 0 : 3;
    });
    CHECK(code == 0);
}

TEST_CASE("a sender at its descriptor limit is told, and the channel goes on") {
    const int code = test::in_child([] {
        asio::io_context io;
        auto [a, b] = Channel<Parcel>::pair(io.get_executor());
        Parcel sent{1, {}, {}};
        sent.handles.push_back(file(1));
        const auto error = error_without_descriptors([&] { static_cast<void>(a.send(sent)); });
        if (error != std::errc::too_many_files_open) return 1;
        test::run_for(io, send_one(a, Parcel{2, {}, {}}));
        Parcel received;
        test::run_for(io, receive_one(b, received));
        return received.number == 2 ? 0 : 2;
    });
    CHECK(code == 0);
}
#endif

TEST_CASE("descriptors that are not those announced are a bad frame, and all are closed") {
    struct Row {
        const char* name;
        std::uint16_t announced;
        std::size_t sent;
    };
    const auto before = test::open_descriptors().size();
    for (const Row row : {Row{"too few", 2, 1}, Row{"too many", 1, 2}, Row{"none", 1, 0}}) {
        CAPTURE(row.name);
        asio::io_context io;
        auto [mine, others] = make_socketpair(SOCK_STREAM);
        Channel<Parcel> channel(io.get_executor(), std::move(mine));
        Buffer bytes;
        FrameHeader hello{.kind = FrameKind::hello};
        append_frame(bytes, hello, 1000, [](Buffer& out) {
            cohort::encode(Greeting{cohort::schema_hash<Parcel>(), "Parcel"}, out);
        });
        FrameHeader message{.descriptors = row.announced};
        append_frame(bytes, message, 1000, [&](Buffer& out) {
            Parcel parcel;
            std::vector<int> ignored;
            for (std::size_t i = 0; i < row.announced; ++i) parcel.handles.push_back(file(1));
            cohort::encode(parcel, out, {}, &ignored);
        });
        std::vector<Handle> files;
        std::vector<int> numbers;
        for (std::size_t i = 0; i < row.sent; ++i) numbers.push_back(files.emplace_back(file(1)).get());
        REQUIRE(send_datagram(others.get(), bytes.bytes(), numbers));
        Parcel received;
        CHECK(test::error_of([&] { test::run_for(io, receive_one(channel, received)); }) == Errc::bad_frame);
    }
    CHECK(test::open_descriptors().size() == before);
}

TEST_CASE("a flood of descriptors without frames ends the stream, and does not fill this process") {
    const auto before = test::open_descriptors().size();
    asio::io_context io;
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    {
        Channel<Parcel> channel(io.get_executor(), std::move(mine));
        FrameHeader endless{.length = 1 << 20, .kind = FrameKind::message};
        Buffer hello;
        FrameHeader header{.kind = FrameKind::hello};
        append_frame(hello, header, 1000, [](Buffer& out) {
            cohort::encode(Greeting{cohort::schema_hash<Parcel>(), "Parcel"}, out);
        });
        hello.append(&endless, sizeof endless);
        REQUIRE(send_datagram(others.get(), hello.bytes(), {}));
        struct Run {
            static Task<> receive(Channel<Parcel>& channel, std::error_code& error) {
                try {
                    static_cast<void>(co_await channel.receive());
                } catch (const std::system_error& failure) {
                    error = failure.code();
                }
            }
        };
        std::error_code error;
        test::start(io, Run::receive(channel, error));
        const Handle one = file(1);
        const int number = one.get();
        constexpr std::byte byte{};
        for (int i = 0; i < 5000 && !error; ++i) {
            if (!send_datagram(others.get(), std::span(&byte, 1), std::span(&number, 1))) test::settle(io);
            if (i % 50 == 0) test::settle(io);
        }
        test::settle(io);
        CHECK(error == Errc::bad_frame);
        CHECK(test::open_descriptors().size() < before + 1100);
    }
    test::settle(io);
    others.reset();
    CHECK(test::open_descriptors().size() <= before + 8); // the loop's own
}

TEST_CASE("two sides that call each other with handles, and answer at length, both get all answers") {
    struct Run {
        static Task<Parcel> answer(const Parcel& parcel) {
            Parcel reply{parcel.number, std::string(20'000, 'a'), {}};
            co_return reply;
        }
        static Task<> ask(Channel<Parcel>& channel, std::uint64_t number, std::size_t& answered) {
            Parcel parcel{number, {}, {}};
            parcel.handles.push_back(Handle::copy_of(0));
            const auto reply = co_await channel.call(parcel, test::patience);
            answered += reply.number == number;
        }
    };
    constexpr std::uint64_t count = 300; // more than a side holds before it stops reading
    const test::DescriptorLimit many(RLIM_INFINITY);
    asio::io_context io;
    auto [a, b] = Channel<Parcel>::pair(io.get_executor());
    std::size_t answered = 0;
    for (std::uint64_t i = 0; i != count; ++i) {
        test::start(io, Run::ask(a, i, answered));
        test::start(io, Run::ask(b, i, answered));
    }
    test::start(io, a.serve(Run::answer));
    test::start(io, b.serve(Run::answer));
    test::run_until(io, [&] { return answered == 2 * count; });
    a.close();
    b.close();
    test::settle(io);
}

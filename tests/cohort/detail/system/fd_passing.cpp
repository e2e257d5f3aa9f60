// SPDX-License-Identifier: MIT
#include <cohort/detail/system/fd_passing.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/faulty_system.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

using namespace cohort::detail;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

struct Received {
    Datagram datagram;
    std::string text;
    std::error_code error;
};

Received receive(const UniqueFd& socket, std::size_t space = 100) {
    std::vector<std::byte> buffer(space);
    Received received;
    received.datagram = receive_datagram(socket.get(), buffer, received.error);
    received.text.assign(reinterpret_cast<const char*>(buffer.data()), received.datagram.size);
    return received;
}

/// A file that can be told from all others.
UniqueFd make_file() { return UniqueFd(::memfd_create("test", MFD_CLOEXEC)); }
ino_t inode(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

} // namespace

TEST_CASE("datagrams keep their bounds, their order and their descriptors") {
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    const auto first = make_file();
    const auto second = make_file();
    REQUIRE(send_datagram(a.get(), bytes_of("one"), {}));
    REQUIRE(send_datagram(a.get(), bytes_of("two"), std::array{first.get()}));
    REQUIRE(send_datagram(a.get(), bytes_of("three"), {}));
    REQUIRE(send_datagram(a.get(), bytes_of("four"), std::array{second.get(), first.get()}));

    CHECK(receive(b).datagram.descriptors.empty());
    const auto two = receive(b);
    CHECK(two.text == "two");
    REQUIRE(two.datagram.descriptors.size() == 1);
    CHECK(inode(two.datagram.descriptors[0].get()) == inode(first.get()));
    CHECK(two.datagram.descriptors[0].get() != first.get());
    CHECK(receive(b).datagram.descriptors.empty());
    const auto four = receive(b);
    CHECK(four.text == "four");
    REQUIRE(four.datagram.descriptors.size() == 2);
    CHECK(inode(four.datagram.descriptors[0].get()) == inode(second.get()));
    CHECK(inode(four.datagram.descriptors[1].get()) == inode(first.get()));
}

TEST_CASE("sixteen descriptors at once arrive in their order, close-on-exec") {
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    std::vector<UniqueFd> files;
    std::vector<int> numbers;
    for (std::size_t i = 0; i < max_passed; ++i) numbers.push_back(files.emplace_back(make_file()).get());
    REQUIRE(send_datagram(a.get(), bytes_of("x"), numbers));

    const auto received = receive(b);
    CHECK_FALSE(received.datagram.descriptors_lost);
    REQUIRE(received.datagram.descriptors.size() == max_passed);
    for (std::size_t i = 0; i < max_passed; ++i) {
        const int fd = received.datagram.descriptors[i].get();
        CHECK(inode(fd) == inode(numbers[i]));
        CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("descriptors that do not fit in this process are reported, those that do are kept") {
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    std::vector<UniqueFd> files;
    std::vector<int> numbers;
    for (std::size_t i = 0; i < max_passed; ++i) numbers.push_back(files.emplace_back(make_file()).get());
    REQUIRE(send_datagram(a.get(), bytes_of("many"), numbers));
    REQUIRE(send_datagram(a.get(), bytes_of("next"), {}));

    const int code = test::in_child([&] {
        const int highest = std::ranges::max(numbers);
        const rlimit limit{static_cast<rlim_t>(highest) + 6, static_cast<rlim_t>(highest) + 6};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        const auto many = receive(b);
        if (many.error || many.text != "many") return 2;
        if (!many.datagram.descriptors_lost) return 3;
        if (many.datagram.descriptors.empty() || many.datagram.descriptors.size() >= max_passed) return 4;
        for (std::size_t i = 0; i < many.datagram.descriptors.size(); ++i)
            if (inode(many.datagram.descriptors[i].get()) != inode(numbers[i])) return 5;
        const auto next = receive(b);
        return next.text == "next" && !next.datagram.descriptors_lost ? 0 : 6;
    });
    CHECK(code == 0);
}

TEST_CASE("an interrupted call is made again") {
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    test::FaultySystem system;
    system.failure = EINTR;
    system.fail_next = 3;
    REQUIRE(send_datagram(a.get(), bytes_of("x"), {}));
    CHECK(system.datagrams_sent == 4);
    system.fail_next = 3;
    CHECK(receive(b).text == "x");
    CHECK(system.datagrams_received == 4);
}

TEST_CASE("other failures reach the caller") {
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    CHECK(would_block(receive(b).error.value()));

    test::FaultySystem system;
    system.failure = ETOOMANYREFS;
    system.fail_next = 2;
    CHECK_FALSE(send_datagram(a.get(), bytes_of("x"), {}));
    CHECK(errno == ETOOMANYREFS);
    CHECK(receive(b).error == std::error_code(ETOOMANYREFS, std::system_category()));
}

TEST_CASE("a datagram larger than the buffer is reported as cut, and its descriptors are not leaked") {
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    const auto file = make_file();
    REQUIRE(send_datagram(a.get(), bytes_of("much too long"), std::array{file.get()}));
    const auto received = receive(b, 4);
    CHECK(received.datagram.cut);
    CHECK(received.text == "much");
    CHECK(received.datagram.descriptors.size() == 1);
}

TEST_CASE("the end of the other side is a datagram of no bytes") {
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    REQUIRE(send_datagram(a.get(), bytes_of("last"), {}));
    a.reset();
    CHECK(receive(b).text == "last");
    const auto end = receive(b);
    CHECK_FALSE(end.error);
    CHECK(end.datagram.size == 0);
}

TEST_CASE("a full socket takes nothing, and what was refused can be sent later") {
    auto [a, b] = make_socketpair(SOCK_SEQPACKET);
    int sent = 0;
    while (send_datagram(a.get(), bytes_of("x"), {})) ++sent;
    CHECK(would_block(errno));
    CHECK(sent > 0);
    for (int i = 0; i < sent; ++i) CHECK(receive(b).text == "x");
    CHECK(would_block(receive(b).error.value()));
    CHECK(send_datagram(a.get(), bytes_of("x"), {}));
}

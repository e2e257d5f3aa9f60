// SPDX-License-Identifier: MIT
#include <cohort/handle.hpp>

#include <doctest/doctest.h>

#include <support/run_for.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

using cohort::Errc;
using cohort::Handle;
using namespace cohort::detail;

namespace handles {

struct Parcel {
    std::string name;
    Handle one;
    std::vector<Handle> more;
    std::optional<Handle> perhaps;
};

} // namespace handles

using handles::Parcel;

namespace {

ino_t file_of(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

Handle file() { return Handle(::memfd_create("file", MFD_CLOEXEC)); }

/// What a channel does with them: every descriptor is copied on its way.
std::vector<int> copies_of(const std::vector<int>& descriptors) {
    std::vector<int> copies;
    for (const int fd : descriptors) copies.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    return copies;
}

} // namespace

TEST_CASE("handles arrive as other descriptors of the same files, wherever they are in the message") {
    Parcel sent{"three", file(), {}, file()};
    sent.more.push_back(file());
    sent.more.emplace_back(); // none
    Buffer bytes;
    std::vector<int> descriptors;
    cohort::encode(sent, bytes, {}, &descriptors);
    CHECK(descriptors == std::vector<int>{sent.one.get(), sent.more[0].get(), sent.perhaps->get()});

    auto arrived = copies_of(descriptors);
    Parcel received;
    REQUIRE_FALSE(cohort::decode(bytes.bytes(), received, {}, arrived));
    CHECK(arrived == std::vector<int>{-1, -1, -1});
    CHECK(received.name == "three");
    CHECK(file_of(received.one.get()) == file_of(sent.one.get()));
    REQUIRE(received.more.size() == 2);
    CHECK(file_of(received.more[0].get()) == file_of(sent.more[0].get()));
    CHECK_FALSE(received.more[1]);
    REQUIRE(received.perhaps);
    CHECK(file_of(received.perhaps->get()) == file_of(sent.perhaps->get()));
}

TEST_CASE("a message whose descriptors are too few or too many is no message") {
    Parcel sent{"one", file(), {}, {}};
    Buffer bytes;
    std::vector<int> descriptors;
    cohort::encode(sent, bytes, {}, &descriptors);
    Parcel received;
    CHECK(cohort::decode(bytes.bytes(), received) == Errc::bad_message);
    auto two = copies_of({sent.one.get(), sent.one.get()});
    CHECK(cohort::decode(bytes.bytes(), received, {}, two) == Errc::bad_message);
    CHECK(two[0] == -1); // in the value, which owns it
    ::close(two[1]);
}

TEST_CASE("where descriptors cannot travel a handle is refused, and the buffer stays as it was") {
    const Parcel with{"one", file(), {}, {}};
    const Parcel without{"none", Handle(), {}, {}};
    Buffer bytes;
    CHECK(test::error_of([&] { cohort::encode(with, bytes); }) == Errc::no_descriptors);
    CHECK(bytes.empty());
    cohort::encode(without, bytes);
    CHECK_FALSE(bytes.empty());
}

TEST_CASE("more descriptors than one message can carry are refused") {
    Parcel sent;
    const Handle original = file();
    for (std::size_t i = 0; i <= max_descriptors; ++i) sent.more.push_back(Handle::copy_of(original.get()));
    Buffer bytes;
    std::vector<int> descriptors;
    CHECK(test::error_of([&] { cohort::encode(sent, bytes, {}, &descriptors); }) == Errc::message_too_large);
}

TEST_CASE("a handle closes what it owns, and nothing it has handed on") {
    int kept = -1;
    int closed = -1;
    {
        Handle a = file();
        Handle b = file();
        closed = a.get();
        kept = b.release();
        CHECK_FALSE(b);
    }
    CHECK_FALSE(is_open(closed));
    CHECK(is_open(kept));
    ::close(kept);
}

TEST_CASE("a handle takes the descriptor out of an Asio object") {
    asio::io_context io;
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    const int fd = acceptor.native_handle();
    const Handle handle(std::move(acceptor));
    CHECK(handle.get() == fd);
    CHECK_FALSE(acceptor.is_open());
}

TEST_CASE("copying what is no descriptor is an error") {
    CHECK(test::error_of([] { Handle::copy_of(-1); }) == std::errc::bad_file_descriptor);
}

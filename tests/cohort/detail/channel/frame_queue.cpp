// SPDX-License-Identifier: MIT
#include <cohort/detail/channel/frame_queue.hpp>

#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/system/fd_passing.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/process.hpp>
#include <support/run_for.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/mman.h>

using cohort::Errc;
using namespace cohort::detail;

namespace {

/// Takes at most so many bytes a call, and notes what it was given.
class Recorder final : public Transport {
public:
    explicit Recorder(const asio::any_io_executor& executor)
        : Transport(executor, make_socketpair(SOCK_STREAM).first) {}

    ssize_t write(std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept override {
        const std::size_t count = std::min(most, bytes.size());
        calls.push_back({bytes.size(), descriptors.size()});
        text.append(reinterpret_cast<const char*>(bytes.data()), count);
        if (count == 0) errno = EAGAIN;
        return count == 0 ? -1 : static_cast<ssize_t>(count);
    }

    struct Call {
        std::size_t bytes = 0;
        std::size_t descriptors = 0;
        bool operator==(const Call&) const = default;
    };
    std::size_t most = 1'000'000;
    std::vector<Call> calls;
    std::string text;
};

constexpr std::size_t head = sizeof(FrameHeader);

void append(FrameQueue& queue, std::string_view text, std::vector<int> descriptors = {}) {
    queue.append(FrameKind::message, 0, [&](Buffer& out, std::vector<int>& passing) {
        out.append(text.data(), text.size());
        passing = descriptors;
    });
}

struct File {
    int fd = ::memfd_create("file", MFD_CLOEXEC);
    ~File() { ::close(fd); }
};

using Calls = std::vector<Recorder::Call>;

} // namespace

TEST_CASE("frames go to the transport together, and what it did not take goes again") {
    asio::io_context io;
    Recorder transport(io.get_executor());
    FrameQueue queue(100);
    append(queue, "one");
    append(queue, "two");
    CHECK(queue.size() == 2 * head + 6);
    transport.most = head + 1;
    CHECK(queue.write(transport) == static_cast<ssize_t>(head + 1));
    CHECK(queue.size() == head + 5);
    transport.most = 0;
    CHECK(queue.write(transport) == -1);
    CHECK(errno == EAGAIN);
    transport.most = 1000;
    CHECK(queue.write(transport) == static_cast<ssize_t>(head + 5));
    CHECK(queue.empty());
    CHECK(transport.calls == Calls{{2 * head + 6, 0}, {head + 5, 0}, {head + 5, 0}});
    CHECK(transport.text.substr(head, 3) == "one");
    CHECK(transport.text.substr(2 * head + 3) == "two");
}

TEST_CASE("a call bears the descriptors of one frame, with its first byte, and they are let go of when it took that") {
    const File file;
    asio::io_context io;
    Recorder transport(io.get_executor());
    const auto before = test::open_descriptors().size();
    FrameQueue queue(100);
    append(queue, "none");
    append(queue, "two", {file.fd, file.fd});
    append(queue, "none");
    append(queue, "one", {file.fd});
    CHECK(test::open_descriptors().size() == before + 3);

    CHECK(queue.write(transport) > 0); // up to the first that has some
    transport.most = 0;
    CHECK(queue.write(transport) == -1);
    CHECK(test::open_descriptors().size() == before + 3);
    transport.most = 1;
    CHECK(queue.write(transport) == 1);
    CHECK(test::open_descriptors().size() == before + 1);
    transport.most = 1000;
    while (!queue.empty()) CHECK(queue.write(transport) > 0);
    CHECK(transport.calls ==
          Calls{{head + 4, 0}, {2 * head + 7, 2}, {2 * head + 7, 2}, {2 * head + 6, 0}, {head + 3, 1}});
    CHECK(test::open_descriptors().size() == before);
}

TEST_CASE("a frame that cannot be made leaves the queue as it was") {
    const File file;
    asio::io_context io;
    Recorder transport(io.get_executor());
    const auto before = test::open_descriptors().size();
    FrameQueue queue(4);
    append(queue, "1234");
    CHECK(test::error_of([&] { append(queue, "12345", {file.fd}); }) == Errc::message_too_large);
    CHECK(test::error_of([&] { append(queue, "123", {file.fd, 1'000'000}); }) == std::errc::bad_file_descriptor);
    const auto fill = [](Buffer& out, std::vector<int>&) {
        out.append("12", 2);
        throw std::logic_error("no more");
    };
    CHECK_THROWS_AS(queue.append(FrameKind::message, 0, fill), std::logic_error);
    CHECK(queue.size() == head + 4);
    CHECK(test::open_descriptors().size() == before);
    CHECK(queue.write(transport) == static_cast<ssize_t>(head + 4));
    CHECK(transport.text.substr(head) == "1234");
}

TEST_CASE("a queue that is cleared lets go of its descriptors") {
    const File file;
    const auto before = test::open_descriptors().size();
    FrameQueue queue(100);
    append(queue, "one", {file.fd});
    queue.clear();
    CHECK(queue.empty());
    CHECK(test::open_descriptors().size() == before);
}

// SPDX-License-Identifier: MIT
// Numbered messages for tests of channels, and a receiver that sees whether one is missing, doubled or damaged.
#pragma once

#include <cohort/channel.hpp>

#include <asio/io_context.hpp>

#include <support/run_for.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

namespace test {

struct Numbered {
    std::uint64_t number = 0;
    std::string text;
};

/// Sends messages number `first` and following, each with `size` bytes.
template <class Channel>
cohort::Task<> send_some(Channel& channel, std::uint64_t first, std::uint64_t count, std::size_t size = 20) {
    for (std::uint64_t i = first; i < first + count; ++i) {
        const Numbered note{i, std::string(size, static_cast<char>('a' + i % 26))};
        co_await channel.send(note);
    }
}

/// Sends, and then ends its direction.
template <class Channel>
cohort::Task<> send_all(Channel& channel, std::uint64_t count, std::size_t size = 20) {
    co_await send_some(channel, 0, count, size);
    channel.finish();
}

/// What came, checked on the way: the numbers must grow by one, the texts must be whole.
struct Inbox {
    std::uint64_t count = 0;
    std::uint64_t wrong = 0;
    std::size_t bytes = 0;
    bool ended = false;
    std::error_code error;
    std::string what;

    void take(const Numbered& note);
};

template <class Channel>
cohort::Task<> receive_into(Channel& channel, Inbox& inbox, std::uint64_t most = ~std::uint64_t{0}) {
    try {
        while (inbox.count < most) {
            const auto note = co_await channel.receive();
            if (!note) {
                inbox.ended = true;
                break;
            }
            inbox.take(*note);
        }
    } catch (const std::system_error& error) {
        inbox.error = error.code();
        inbox.what = error.what();
    }
}

cohort::Task<> send_one(cohort::Channel<Numbered>& channel, const Numbered& note);

std::error_code send_error(asio::io_context& io, cohort::Channel<Numbered>& channel, const Numbered& note = {});

} // namespace test

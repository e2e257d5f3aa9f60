// SPDX-License-Identifier: MIT
#include "notes.hpp"

#include <algorithm>

namespace test {

void Inbox::take(const Numbered& note) {
    const char expected = static_cast<char>('a' + note.number % 26);
    const bool whole = std::ranges::all_of(note.text, [=](char c) { return c == expected; });
    if (note.number != count || !whole) ++wrong;
    ++count;
    bytes += note.text.size();
}

cohort::Task<> send_one(cohort::Channel<Numbered>& channel, const Numbered& note) { co_await channel.send(note); }

std::error_code send_error(asio::io_context& io, cohort::Channel<Numbered>& channel, const Numbered& note) {
    return error_of([&] { run_for(io, send_one(channel, note)); });
}

} // namespace test

// SPDX-License-Identifier: MIT
// A libFuzzer target: what is said by way of a control socket, either way. An action gets only what is of its type,
// whatever bytes it is called with; what is decoded can be encoded again; who follows what has happened is told each
// event once, from whichever number on.
//
//     tests/fuzz/run.sh          builds all targets and runs them for a while
#include "control.hpp"
#include "target.hpp"

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <exception>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace fuzz {

namespace control = cohort::control;
namespace detail = cohort::detail;
using cohort::Task;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// What comes from a master, or a client, that may be anybody.
template <class T>
void decode_as(std::string_view bytes) {
    T value{};
    if (cohort::decode(bytes_of(bytes), value, {.bytes = detail::most_of_control})) return;
    T same{};
    require(!cohort::decode(bytes_of(encoded(value)), same), "what was decoded can be encoded");
}

/// Calls an action that gives its argument back; where it does, that is of its type.
template <class Argument>
void call_with(std::string_view bytes) {
    static asio::io_context io(1);
    static const detail::ControlAction action = detail::make_action<Argument>(give_back<Argument>);
    const auto argument = bytes_of(bytes);
    bool ended = false;
    auto work = action.run({argument.begin(), argument.end()});
    asio::co_spawn(io, std::move(work), [&ended](std::exception_ptr error, const std::vector<std::byte>& result) {
        ended = true;
        try {
            if (error) std::rethrow_exception(error);
            Argument same{};
            require(!cohort::decode(std::span(result), same), "a result is of the action's type");
        } catch (const std::system_error&) {
            // It was no such argument.
        }
    });
    io.restart();
    io.poll();
    require(ended, "an action that does not wait has ended");
}

/// 40 events, of which the first 8 are not known any more.
void follow(Script script) {
    static asio::io_context io(1);
    static detail::EventLog log(io.get_executor(), 32);
    while (log.next_number() <= 40) {
        cohort::Event event;
        event.worker = static_cast<cohort::WorkerId>(log.next_number());
        log.add(event);
    }
    control::EventsFrom from;
    from.number = 0;
    for (int i = 0; i != 8; ++i) from.number = from.number << 8 | script.next();
    from.most = static_cast<std::uint32_t>(script.next() << 8 | script.next());
    const std::uint64_t first = from.number == 0 || from.number > 41 ? 1 : from.number;
    std::uint64_t told = 0;
    do {
        const control::Events events = detail::events_since(log, from);
        require(events.events.size() <= 256 && events.next <= 41, "no more than an answer holds, and than there are");
        told += events.events.size() + events.missed;
        from.number = events.next;
    } while (from.number != 41 && told <= 41);
    require(told == 41 - first, "each is told once, or counted as missed");
}

} // namespace

void run(Script script) {
    const std::uint8_t what = script.next();
    switch (what % 16) {
        case 0: return decode_as<control::Request>(script.rest());
        case 1: return decode_as<control::Response>(script.rest());
        case 2: return decode_as<control::MasterStatus>(script.rest());
        case 3: return decode_as<control::Statistics>(script.rest());
        case 4: return decode_as<control::Events>(script.rest());
        case 5: return decode_as<control::Outcome>(script.rest());
        case 6: return decode_as<control::Requests>(script.rest());
        case 7: return call_with<control::Nothing>(script.rest());
        case 8: return call_with<control::EventsFrom>(script.rest());
        case 9: return call_with<control::OfWorker>(script.rest());
        case 10: return call_with<control::Signal>(script.rest());
        case 11: return call_with<control::Scale>(script.rest());
        case 12: return call_with<cohort::Settings>(script.rest());
        case 13: return call_with<Tree>(script.rest());
        default: return follow(script);
    }
}

std::vector<std::string> seeds() {
    control::MasterStatus status;
    status.workers.resize(2);
    status.slots.resize(2);
    control::Statistics statistics;
    statistics.stats.slots.resize(1);
    statistics.totals.counts.resize(1);
    control::Events events;
    events.events.resize(2);
    control::Requests requests;
    requests.requests.resize(2);
    cohort::Settings settings;
    settings.backoff.emplace();
    settings.recycle.emplace();
    const Tree tree{"root", {{"leaf", {}, 1}, {"leaf", {}, {}}}, 2};
    return {
        '\0' + encoded(control::Request{"status", 1, 2, std::vector<std::byte>(3)}),
        '\1' + encoded(control::Response{std::vector<std::byte>(3), control::Failure::of(cohort::Errc::closed)}),
        '\2' + encoded(status),
        '\3' + encoded(statistics),
        '\4' + encoded(events),
        '\5' + encoded(control::Outcome{}),
        '\6' + encoded(requests),
        '\x08' + encoded(control::EventsFrom{}),
        '\x0a' + encoded(control::Signal{1, 15}),
        '\x0c' + encoded(settings),
        '\x0d' + encoded(tree),
        '\x0e' + std::string("\0\0\0\0\0\0\0\x09\0\5", 10),
    };
}

} // namespace fuzz

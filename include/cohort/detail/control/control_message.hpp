// SPDX-License-Identifier: MIT
// What master and worker say to each other about listening and leaving, beside the user's channel (layer 1).
#pragma once

#include <cohort/detail/control/message_set.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/serialize.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace cohort::detail {

/// Names one listener of one worker: the number of its cell in the worker's part of the shared page.
using ListenerId = std::uint32_t;
/// Names one datagram socket that one worker has.
using BindingId = std::uint32_t;

// From the worker.

/// The body is about to run. With the hashes of the messages that it sends and expects: the greeting of the channel has
/// them too, but a worker may be ready before that is read.
struct Online {
    static constexpr std::uint8_t number = 0;

    std::uint64_t sends = 0;
    std::uint64_t expects = 0;
};
/// "Let me listen on this." Answered by Listening with the same request number.
struct Listen {
    static constexpr std::uint8_t number = 1;

    std::uint32_t request = 0;
    Endpoint endpoint;
};
/// The worker closed its listener.
struct Unlisten {
    static constexpr std::uint8_t number = 2;

    ListenerId listener = 0;
};
/// One connection comes back with its descriptor: the listener was closed, the worker is full, or it leaves and has
/// begun to serve the connection (`was_served`, with what the next worker must know). The master may have forgotten the
/// listener by now, so it goes by the endpoint.
struct ReturnedConnection {
    static constexpr std::uint8_t number = 3;

    ListenerId listener = 0;
    Endpoint endpoint{};
    bool was_served = false;
    std::string state{};
};
/// `count` connections from number `first` on did not get through (RLIMIT_NOFILE). Answered by Forgotten.
struct Lost {
    static constexpr std::uint8_t number = 4;

    ListenerId listener = 0;
    std::uint64_t first = 0;
    std::uint32_t count = 0;
};
/// The master had waited for the `taken` counter to move; it did.
struct Took {
    static constexpr std::uint8_t number = 5;

    ListenerId listener = 0;
};
/// "Connect me with this worker." Answered by PeerSocket with the same request number.
struct ConnectPeer {
    static constexpr std::uint8_t number = 8;

    std::uint32_t request = 0;
    std::uint32_t worker = 0;
};
/// The worker listens on something of its own.
struct Announced {
    static constexpr std::uint8_t number = 9;

    Endpoint endpoint;
};
/// "Let me have this UDP port." Answered by Bound with the same request number.
struct Bind {
    static constexpr std::uint8_t number = 10;

    std::uint32_t request = 0;
    Endpoint endpoint;
};
/// The worker closed its socket.
struct Unbind {
    static constexpr std::uint8_t number = 11;

    BindingId binding = 0;
};
/// The worker can do its work from here on.
struct Ready {
    static constexpr std::uint8_t number = 12;
};
/// "Let me have this role." Answered by Elected with the same request number, once it is this worker's, or with an
/// error.
struct Campaign {
    static constexpr std::uint8_t number = 13;

    std::uint32_t request = 0;
    std::string role;
};
/// The role that was asked for with this number is not wanted any more.
struct Resign {
    static constexpr std::uint8_t number = 14;

    std::uint32_t request = 0;
};
/// The worker wants to leave. `replace`: a signal has told it to, so another one is to take its place.
struct Leaving {
    static constexpr std::uint8_t number = 6;

    bool replace = false;
};
/// The process could not be prepared; it exits.
struct SetupFailed {
    static constexpr std::uint8_t number = 7;

    std::int32_t system_error = 0;
    std::string step;
};

using FromWorker = MessageSet<Online, Listen, Unlisten, ReturnedConnection, Lost, Took, Leaving, SetupFailed,
                              ConnectPeer, Announced, Bind, Unbind, Ready, Campaign, Resign>;

// From the master.

/// "Finish what you have, then end." `hand_over`: other workers continue and take over connections still open.
struct Stop {
    static constexpr std::uint8_t number = 0;

    bool hand_over = false;
};
/// The answer to Listen. A listening descriptor comes along when the worker is to accept by itself, unless the process
/// was forked with it: then `inherited` is its number there.
struct Listening {
    static constexpr std::uint8_t number = 1;

    std::uint32_t request = 0;
    ListenerId listener = 0;
    std::int32_t inherited = -1;
    Endpoint endpoint;
    std::int32_t error = 0;
    bool error_is_cohorts = false;
};
/// The answer to Bind: the socket comes along.
struct Bound {
    static constexpr std::uint8_t number = 6;

    std::uint32_t request = 0;
    BindingId binding = 0;
    Endpoint endpoint;
    std::int32_t error = 0;
    bool error_is_cohorts = false;
};
/// The attached descriptors are connections number `first` and following of this listener. `states`: what the workers
/// that served them before passed on; empty when all are new.
struct Connections {
    static constexpr std::uint8_t number = 2;

    ListenerId listener = 0;
    std::uint64_t first = 0;
    std::uint32_t count = 0;
    std::vector<std::string> states{};
};
/// The answer to Lost: these numbers are settled, others have the connections.
struct Forgotten {
    static constexpr std::uint8_t number = 3;

    ListenerId listener = 0;
    std::uint64_t first = 0;
    std::uint32_t count = 0;
};

/// The answer to ConnectPeer: one end of a socket pair, unless there is no such worker, or `error` says why.
struct PeerSocket {
    static constexpr std::uint8_t number = 4;

    std::uint32_t request = 0;
    std::int32_t error = 0;
    bool error_is_cohorts = false;
};
/// The other end of that socket pair, for the worker named in ConnectPeer.
struct IncomingPeer {
    static constexpr std::uint8_t number = 5;

    std::uint32_t from = 0;
};

/// The answer to Campaign.
struct Elected {
    static constexpr std::uint8_t number = 7;

    std::uint32_t request = 0;
    std::int32_t error = 0;
    bool error_is_cohorts = false;
};

/// What another worker counts: its part of the shared page comes along.
struct PartOfWorker {
    static constexpr std::uint8_t number = 8;

    std::uint32_t part = 0;
    std::uint32_t worker = 0;
};

using FromMaster =
    MessageSet<Stop, Listening, Connections, Forgotten, PeerSocket, IncomingPeer, Bound, Elected, PartOfWorker>;

/// What an answer (Listening, Bound, Elected, PeerSocket) says of a failure: of the system, or one of Errc.
template <class Answer>
std::error_code error_of(const Answer& answer) noexcept {
    return {answer.error, answer.error_is_cohorts ? error_category() : std::system_category()};
}
template <class Answer>
void set_error(Answer& answer, std::error_code error) noexcept {
    answer.error = error.value();
    answer.error_is_cohorts = error.category() == error_category();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// What a server can be told (layer 1).
#pragma once

#include <cohort/http/limits.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>

namespace cohort::http {

struct Access;
class Response;

/// What becomes of a connection past ServerOptions::max_connections.
enum class Overload : unsigned char {
    wait,   ///< one is accepted and waits, the rest stay in the kernel's queue; to make room, idle ones are closed at
            ///< once and busy ones after their response
    refuse, ///< it gets 503 at once; it is just closed when as many are being refused already, or over TLS
};

/// All have defaults that suit a server on the open network. Times are kept by one coarse timer for the whole server,
/// which ticks eight times in the shortest of them (only twice in fresh_timeout and park_after), but every 5 to 500 ms:
/// they may last two ticks longer.
struct ServerOptions {
    using Duration = std::chrono::milliseconds;

    Limits limits{};
    /// From a request's first byte (or the connection's begin) to its blank line: 408. At max_connections also four
    /// times fresh_timeout between two pieces of it, and for a TLS handshake.
    Duration head_timeout{10'000};
    Duration body_timeout{10'000};  ///< between two pieces of a body: 408
    Duration write_timeout{30'000}; ///< without the client taking anything of a response: the connection is cut
    Duration idle_timeout{65'000};  ///< between two requests: the connection is closed
    Duration park_after{250};       ///< an idle connection then frees its buffers and its coroutine
    Duration handler_timeout{0};    ///< until the handler's response: then it is cancelled and 503 is sent; 0: none
    Duration fresh_timeout{500};    ///< for the first byte of a connection while draining, or at max_connections
    /// For one more request on a connection that cannot be handed over when its worker leaves and others go on, as over
    /// TLS: its answer says `Connection: close`, and a client that heeds that loses nothing. Then the connection is
    /// closed. At most half of Options::grace; when everything stops there is no such wait.
    Duration farewell_timeout{5'000};
    /// What a client still sends when its connection ends is read and discarded: closed with something unread, the
    /// connection would be reset, and the client might not see its answer (RFC 9112 section 9.6). This long without
    /// anything more (fresh_timeout while draining, or at max_connections), ...
    Duration linger_timeout{5'000};
    Duration linger_time{30'000};          ///< ... this long in all ...
    std::size_t linger_bytes = 1 << 30;    ///< ... and this much: it bounds what a client can make the server do
    std::size_t body_rate = 240;           ///< bytes a second that a body must reach after body_timeout: 408; 0: any
    std::size_t unread_bytes = 256 * 1024; ///< of a body that the handler left unread, before the connection closes
    std::size_t max_requests = 0;          ///< on one connection; 0: any number
    std::size_t max_connections = 0;       ///< at a time; 0: any number
    Overload overload = Overload::wait;
    /// Every connection begins with a header of the PROXY protocol, version 1 or 2, and is closed otherwise. Only for
    /// listeners that nobody but such a proxy can reach: the header is believed.
    bool proxy_protocol = false;

    /// Called once for every request, when it is answered or will not be: `to_combined(access)` and the like make a
    /// line of it. It runs on the server's thread and should not block.
    std::function<void(const Access&)> access_log = {};

    /// Makes what the server answers by itself, in place of a line of text: to what it refuses before there is a
    /// request that a handler could be asked about (400, 408, 413, 414, 417, 431, 501, 503, 505), and for a handler
    /// that threw, if no Router::on_error has answered, or gave what cannot be sent (426, 500). The status stays. If it
    /// throws, or makes a streamed response, that is logged, and the line of text is sent.
    ///
    ///     options.error_page = [](int status) { return http::json("{\"error\":" + std::to_string(status) + "}\n"); };
    std::function<Response(int)> error_page = {};

    /// Called with each error message, such as what a handler threw; by default they go to standard error.
    std::function<void(std::string_view)> log = {};
};

} // namespace cohort::http

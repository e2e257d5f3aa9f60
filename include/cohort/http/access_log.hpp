// SPDX-License-Identifier: MIT
// Requests and their answers as lines of a log (layer 1).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace cohort::http {

class Request;

/// What a server tells of a request when it is answered. It holds for as long as the server's hook is called.
struct Access {
    const Request* request = nullptr;              ///< null: it was refused before its head was complete
    std::string_view client{};                     ///< see Request::client_address
    int status = 0;                                ///< 499: broken off before there was a response
    std::uint64_t bytes = 0;                       ///< of the response's body
    std::chrono::system_clock::time_point begun{}; ///< when its head was complete
    std::chrono::nanoseconds took{}; ///< from then until the response was queued, of a large or streamed one sent
};

/// Lines without their ends. What clients send cannot end a line, leave its quotes or reach a terminal as more than
/// text: control characters, quotes, backslashes and what is not ASCII are escaped as \xHH.
///
/// The common log format: `192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.1" 200 2326`; in UTC, with "-" for
/// what is not known and for no bytes.
std::string to_common(const Access& access);

/// The combined log format: the same with Referer and User-Agent behind it, in quotes.
std::string to_combined(const Access& access);

/// An object of JSON, with time, client, status, bytes and took_us (microseconds), and where they are known method,
/// target, version, host, referer and user_agent. Text is UTF-8; octets that are not, control characters and U+0080 to
/// U+009F are written as \u00HH.
std::string to_json(const Access& access);

namespace detail {

/// Text inside the quotes of JSON, as to_json says.
void append_json_text(std::string& out, std::string_view text);

} // namespace detail

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/access_log.ipp>
#endif

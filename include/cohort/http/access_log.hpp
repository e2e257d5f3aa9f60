// SPDX-License-Identifier: MIT
// Requests and their answers as lines of a log (layer 1).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace cohort::http {

class Request;

/// What ServerOptions::access_log is given for each request. Valid only during that call.
struct Access {
    const Request* request = nullptr;              ///< null: it was refused before its head was complete
    std::string_view client{};                     ///< see Request::client_address
    int status = 0;                                ///< 499: broken off before there was a response
    std::uint64_t bytes = 0;                       ///< of the response's body
    std::chrono::system_clock::time_point begun{}; ///< when its head was complete
    std::chrono::nanoseconds took{}; ///< from `begun` until the response was queued, or, if large or streamed, sent
};

/// Log lines without a line terminator. Nothing that a client sends can end a line, close its quotes or act as a
/// terminal escape: control characters, quotes, backslashes and non-ASCII bytes are escaped as \xHH.
///
/// The common log format: `192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.1" 200 2326`; in UTC, with "-" for
/// unknown values and for zero bytes.
std::string to_common(const Access& access);

/// The combined log format: the same with Referer and User-Agent behind it, in quotes.
std::string to_combined(const Access& access);

/// A JSON object with time, client, status, bytes and took_us (microseconds), and where known method, target, version,
/// host, referer and user_agent. Text is UTF-8; invalid UTF-8, control characters and U+0080 to U+009F are written
/// octet by octet as \u00HH.
std::string to_json(const Access& access);

namespace detail {

/// Appends a JSON string with its quotes, escaped as to_json says.
void append_json_text(std::string& out, std::string_view text);

} // namespace detail

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/access_log.ipp>
#endif

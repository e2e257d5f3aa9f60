// SPDX-License-Identifier: MIT
// The head of a response in wire form (layer 1).
#pragma once

#include <cohort/http/detail/respond/date.hpp>
#include <cohort/http/response.hpp>

#include <charconv>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace cohort::http::detail {

/// The Date field of this second (RFC 9110 section 5.6.7), written anew only when the second changes.
class DateLine {
public:
    std::string_view at(std::time_t now) {
        if (now != second_) write(now);
        return line_;
    }

private:
    void write(std::time_t now) {
        line_.assign("Date: ");
        append_date(line_, now);
        line_.append("\r\n");
        second_ = now;
    }

    std::time_t second_ = -1;
    std::string line_;
};

/// How the exchange goes on, as the head has to say it.
struct Framing {
    bool close = false;                  ///< the connection ends with this response
    bool http_1_0 = false;               ///< the client speaks HTTP/1.0
    bool chunked = false;                ///< the body comes in chunks
    bool upgrade = false;                ///< the connection changes over to another protocol
    bool head_only = false;              ///< the request was HEAD
    std::optional<std::uint64_t> length; ///< of the body; nothing when it is chunked or ends with the connection
};

inline bool has_no_body(int status) noexcept { return status < 200 || status == 204 || status == 304; }

inline void append_number(std::string& out, std::uint64_t number, int base = 10) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number, base).ptr;
    out.append(digits, static_cast<std::size_t>(end - digits));
}

inline void append_status_line(std::string& out, int status) {
    if (status == 200) {
        out.append("HTTP/1.1 200 OK\r\n");
        return;
    }
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<unsigned>(status));
    out.append(" ").append(reason(status)).append("\r\n");
}

/// The handler's fields but those that are the server's to say. Tells which of the server's own are not needed.
struct FieldsSent {
    bool date = false;
    bool type = false;
    bool length = false;
};

inline FieldsSent append_fields(std::string& out, const Response& response, const Framing& framing) {
    FieldsSent sent;
    const bool says_length = framing.head_only || response.status() == 304;
    for (const Field field : response.fields()) {
        if (equal_ignoring_case(field.name, "transfer-encoding")) continue;
        if (equal_ignoring_case(field.name, "connection")) continue;
        if (equal_ignoring_case(field.name, "content-length")) {
            // Without a body of its own, an answer to HEAD may say the length that GET would have.
            if (!says_length || sent.length || response.streamed() || !response.body().empty()) continue;
            sent.length = true;
        }
        sent.date = sent.date || equal_ignoring_case(field.name, "date");
        sent.type = sent.type || equal_ignoring_case(field.name, "content-type");
        out.append(field.name).append(": ").append(field.value).append("\r\n");
    }
    return sent;
}

inline void append_head(std::string& out, const Response& response, const Framing& framing, std::string_view date) {
    append_status_line(out, response.status());
    FieldsSent sent;
    if (!response.fields().empty()) sent = append_fields(out, response, framing);
    if (!sent.date) out.append(date);
    const bool bodiless = has_no_body(response.status());
    if (!bodiless && !sent.type && !response.default_type().empty())
        out.append("Content-Type: ").append(response.default_type()).append("\r\n");
    if (!bodiless && framing.chunked) out.append("Transfer-Encoding: chunked\r\n");
    if (!bodiless && framing.length && !sent.length) {
        out.append("Content-Length: ");
        append_number(out, *framing.length);
        out.append("\r\n");
    }
    if (framing.upgrade)
        out.append("Connection: upgrade\r\n");
    else if (framing.close)
        out.append("Connection: close\r\n");
    else if (framing.http_1_0)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
}

} // namespace cohort::http::detail

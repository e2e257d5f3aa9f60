// SPDX-License-Identifier: MIT
// The bodies of response_head.hpp (layer 1).
#pragma once

#include <cohort/http/detail/respond/response_head.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>

#include <charconv>

namespace cohort::http::detail {

COHORT_DECL void DateLine::write(std::time_t now) {
    line_.assign("Date: ");
    append_date(line_, now);
    line_.append("\r\n");
    second_ = now;
}

COHORT_DECL bool has_no_body(int status) noexcept {
    return status < 200 || status == 204 || status == 205 || status == 304;
}

COHORT_DECL void append_number(std::string& out, std::uint64_t number, int base) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number, base).ptr;
    out.append(digits, static_cast<std::size_t>(end - digits));
}

COHORT_DECL void append_status_line(std::string& out, int status) {
    if (status == 200) {
        out.append("HTTP/1.1 200 OK\r\n");
        return;
    }
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<unsigned>(status));
    out.append(" ").append(reason(status)).append("\r\n");
}

COHORT_DECL FieldsSent append_fields(std::string& out, const Response& response, const Framing& framing) {
    FieldsSent sent;
    const bool may_have_body = framing.head_only && !has_no_body(response.status()); // RFC 9110 section 8.6
    const bool says_length = may_have_body || response.status() == 304;
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

COHORT_DECL void append_head(std::string& out, const Response& response, const Framing& framing,
                             std::string_view date) {
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
    if (response.status() == 205) out.append("Content-Length: 0\r\n"); // RFC 9112, 6.3: it would have no end
    if (framing.upgrade)
        out.append(framing.close ? "Connection: upgrade, close\r\n" : "Connection: upgrade\r\n");
    else if (framing.close)
        out.append("Connection: close\r\n");
    else if (framing.http_1_0)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
}

} // namespace cohort::http::detail

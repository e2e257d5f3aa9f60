// SPDX-License-Identifier: MIT
// The head of a response in wire form (layer 1).
#pragma once

#include <cohort/http/detail/respond/date.hpp>
#include <cohort/http/response.hpp>

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
    void write(std::time_t now);

    std::time_t second_ = -1;
    std::string line_;
};

/// How the exchange goes on, as the head has to say it.
struct Framing {
    bool close = false;                  ///< the connection ends with this response
    bool http_1_0 = false;               ///< the client speaks HTTP/1.0
    bool chunked = false;                ///< the body comes in chunks
    bool upgrade = false;                ///< `Connection: upgrade`, for 101 and 426
    bool head_only = false;              ///< the request was HEAD
    std::optional<std::uint64_t> length; ///< of the body; nothing when it is chunked or ends with the connection
};

bool has_no_body(int status) noexcept;

void append_number(std::string& out, std::uint64_t number, int base = 10);

void append_status_line(std::string& out, int status);

/// Which of the server's own fields the handler has set, so that they are not added.
struct FieldsSent {
    bool date = false;
    bool type = false;
    bool length = false;
};

/// The handler's fields, except those that only the server may set.
FieldsSent append_fields(std::string& out, const Response& response, const Framing& framing);

void append_head(std::string& out, const Response& response, const Framing& framing, std::string_view date);

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/respond/response_head.ipp>
#endif

// SPDX-License-Identifier: MIT
// Status codes: their reason phrases, and the exception that ends a handler with one (layer 1).
#pragma once

#include <cohort/http/fields.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace cohort::http {

/// The registered phrase (RFC 9110 section 15, RFC 6585), or that of the class of the code.
constexpr std::string_view reason(int status) noexcept {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 203: return "Non-Authoritative Information";
        case 204: return "No Content";
        case 205: return "Reset Content";
        case 206: return "Partial Content";
        case 207: return "Multi-Status";
        case 300: return "Multiple Choices";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 402: return "Payment Required";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 407: return "Proxy Authentication Required";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 421: return "Misdirected Request";
        case 422: return "Unprocessable Content";
        case 423: return "Locked";
        case 424: return "Failed Dependency";
        case 425: return "Too Early";
        case 426: return "Upgrade Required";
        case 428: return "Precondition Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 451: return "Unavailable For Legal Reasons";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 507: return "Insufficient Storage";
        case 511: return "Network Authentication Required";
        default: break;
    }
    if (status < 200) return "Informational";
    if (status < 300) return "Successful";
    if (status < 400) return "Redirection";
    return status < 500 ? "Client Error" : "Server Error";
}

/// Thrown by a handler, it is answered with that status; what() is for the log and never leaves the process. The answer
/// also has the fields that with() adds, which are part of what some codes mean, whoever answers it in the end (such as
/// Router::on_error), if with the same status and without a field of that name:
///
///     throw http::Error(401).with("WWW-Authenticate", "Basic realm=\"staff\"");
///
/// The body reader throws it as well: 400 (malformed, or the stream ended inside), 408 (too slow), 413 (too large). A
/// handler need not catch it: the client gets the right status.
class Error : public std::runtime_error {
public:
    explicit Error(int status) : Error(status, std::string{reason(status)}) {}
    Error(int status, const std::string& what) : std::runtime_error(what), status_(status) {}

    int status() const noexcept { return status_; }

    /// Throws std::invalid_argument, see Fields::add.
    Error& with(std::string_view name, std::string_view value) { return fields_.add(name, value), *this; }
    const Fields& fields() const noexcept { return fields_; }

private:
    int status_;
    Fields fields_;
};

} // namespace cohort::http

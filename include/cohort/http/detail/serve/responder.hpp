// SPDX-License-Identifier: MIT
// What a connection answers: responses, refusals, and what the log is told of them (layer 3).
#pragma once

#include <cohort/http/detail/respond/response_head.hpp>
#include <cohort/http/detail/serve/body_reader.hpp>
#include <cohort/http/detail/serve/body_stream.hpp>
#include <cohort/http/detail/serve/peer.hpp>
#include <cohort/http/parser.hpp>
#include <cohort/http/response.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace cohort::http::detail {

/// One for each connection. For each request the calls are: begin, the handler, respond, complete, end.
class Responder {
public:
    Responder(ConnectionStream& stream, RequestParser& parser, BodyReader& body, Peer& peer)
        : stream_(stream), parser_(parser), body_(body), peer_(peer), body_stream_(stream), served_(peer.served()) {}

    /// How many requests the connection has had, also with servers before this one.
    std::size_t served() const noexcept { return served_; }
    /// Whether the current response is the last.
    bool closing() const noexcept { return closing_; }
    /// Whether the connection has gone over to another protocol.
    bool upgraded() const noexcept { return takeover_; }
    /// Whether a request was refused, after which the connection takes no more.
    bool refused() const noexcept { return refused_; }

    void begin();
    /// To be called when the request is answered or given up: tells the access log, once.
    void end() noexcept {
        if (begun_ != Time{}) tell(&parser_.request());
    }

    /// Queues the response, all of it unless it is large or streamed.
    void respond(Response& response);

    /// Whether respond() has left something to complete().
    bool incomplete() const noexcept {
        return large_ || streaming_ || takeover_ || !parser_.complete() || stream_.out().size() > 65536;
    }
    /// Sends the rest of it, and discards what the handler left of the request's body.
    Task<> complete(Response& response);

    /// Answers without asking the handler, and no more after that.
    void refuse(int status);

    /// What to answer for what a handler threw; to be called while handling the exception.
    Response explain_failure() noexcept;

private:
    using Time = std::chrono::steady_clock::time_point;

    /// Up to here a body is copied behind its head; a larger one is sent from where it lies.
    static constexpr std::size_t large_body = 16 * 1024;

    void count(int status) noexcept {
        status_ = status;
        stream_.socket().count_response(status);
    }
    Response error_page(int status) const;
    Framing framing_of(const Response& response) const;
    bool closes_after(const Response& response) const;
    Task<> change_over(const Response& response);
    int status_of_failure() noexcept;
    void tell(const Request* request) noexcept;

    ConnectionStream& stream_;
    RequestParser& parser_;
    BodyReader& body_;
    Peer& peer_;
    BodyStream body_stream_;
    std::size_t served_;
    Time begun_{}; ///< of the current request; unset without an access log
    std::uint64_t body_size_ = 0;
    int status_ = 0;
    bool closing_ = false;
    bool refused_ = false;
    bool large_ = false;
    bool streaming_ = false;
    bool takeover_ = false;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/responder.ipp>
#endif

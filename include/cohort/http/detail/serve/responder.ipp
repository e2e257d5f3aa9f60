// SPDX-License-Identifier: MIT
// The bodies of responder.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/responder.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/http/access_log.hpp>
#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/detail/respond/error_fields.hpp>
#include <cohort/http/detail/respond/response_head.hpp>
#include <cohort/http/detail/serve/upgraded_connection.hpp>

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <system_error>

namespace cohort::http::detail {

COHORT_DECL void Responder::begin() {
    if (stream_.server().options().access_log) begun_ = std::chrono::steady_clock::now();
    status_ = 0;
    body_size_ = 0;
}

COHORT_DECL Response Responder::explain_failure() noexcept {
    const int status = status_of_failure();
    try {
        Response response = error_page(status);
        add_error_fields(response, std::current_exception());
        return response;
    } catch (...) { // The phrase as body is optional.
        return Response(status);
    }
}

COHORT_DECL Response Responder::error_page(int status) const {
    const Server& server = stream_.server();
    if (!server.options().error_page) return http::status(status);
    try {
        Response page = server.options().error_page(status);
        page.status(status);
        if (!page.streamed() && page.takeover() == nullptr) return page;
        server.log("an error page cannot be streamed");
    } catch (...) {
        server.log(cohort::detail::exception_text());
    }
    return http::status(status);
}

/// RFC 9110 section 7.8: a server must not switch to a protocol that the client has not named.
COHORT_DECL bool offers(const Request& request, std::string_view protocols) {
    if (!request.upgrade() || protocols.empty()) return false;
    while (!protocols.empty())
        if (!request.fields().has_token("upgrade", trim(take_until(protocols, ',')))) return false;
    return true;
}

COHORT_DECL Framing Responder::framing_of(const Response& response) const {
    const Request& request = parser_.request();
    Framing framing;
    framing.http_1_0 = request.version_minor() == 0;
    framing.head_only = request.method() == Method::head;
    framing.length = response.length();
    framing.chunked = !framing.length && !framing.http_1_0;
    framing.upgrade = response.status() == 426;
    return framing;
}

COHORT_DECL void Responder::respond(Response& response) {
    if (response.takeover() != nullptr && response.status() == 101) {
        const std::string protocol{response.fields().get("upgrade").value_or("")};
        takeover_ = offers(parser_.request(), protocol);
        if (takeover_) return;
        response = error_page(426).set("Upgrade", protocol);
    }
    if (response.status() < 200 || response.status() > 999) {
        stream_.server().log("a handler answered with status " + std::to_string(response.status()));
        response = error_page(500);
    }
    ++served_;
    count(response.status());
    Framing framing = framing_of(response);
    const bool ends_with_connection = !framing.length && !framing.chunked;
    framing.close = closing_ = ends_with_connection || closes_after(response);
    append_head(stream_.out(), response, framing, stream_.server().date());
    body_.answer_begins();
    body_size_ = 0;
    if (framing.head_only || has_no_body(response.status())) return;
    streaming_ = response.streamed();
    large_ = !streaming_ && response.body().size() > large_body;
    body_stream_.begin(framing.length, framing.chunked);
    if (!streaming_) body_size_ = response.body().size();
    if (!streaming_ && !large_) stream_.out().append(response.body());
}

COHORT_DECL bool Responder::closes_after(const Response& response) const {
    const Server& server = stream_.server();
    if (!parser_.request().keep_alive() || body_.has_failed()) return true;
    const std::size_t most = server.options().max_requests;
    if (most != 0 && served_ >= most) return true; // greater if the server before this one allowed more
    const bool makes_room = server.crowded() || (server.draining() && !server.hands_over());
    if (makes_room && stream_.received().empty()) return true;
    if (!response.fields().empty() && response.fields().has_token("connection", "close")) return true;
    return !parser_.complete() && body_.leaves_too_much();
}

COHORT_DECL Task<> Responder::complete(Response& response) {
    if (takeover_) {
        co_await change_over(response);
        co_return;
    }
    if (large_) co_await body_stream_.write_chunk(response.body());
    if (streaming_) co_await body_stream_.run(response.producer());
    if (streaming_) body_size_ = body_stream_.written();
    large_ = streaming_ = false;
    co_await stream_.send();
    if (closing_ || parser_.complete()) co_return;
    const bool skipped = co_await body_.skip();
    closing_ = !skipped;
}

/// The request is read to its end first: what follows is of the other protocol.
COHORT_DECL Task<> Responder::change_over(const Response& response) {
    closing_ = true;
    const bool skipped = co_await body_.skip();
    if (!skipped) {
        refuse(body_.failure() != 0 ? body_.failure() : 413);
        co_return;
    }
    ++served_;
    count(response.status());
    Framing framing;
    framing.upgrade = true;
    append_head(stream_.out(), response, framing, stream_.server().date());
    co_await stream_.send();
    end(); // the request has ended; its memory is not needed any more
    parser_.release();
    UpgradedConnection upgraded_connection(stream_);
    Upgraded upgraded(upgraded_connection);
    try {
        Task<> speaking = (*response.takeover())(upgraded);
        co_await std::move(speaking);
    } catch (const std::system_error&) {
        throw;
    } catch (...) {
        stream_.server().log(cohort::detail::exception_text());
    }
}

COHORT_DECL void Responder::refuse(int status) {
    refused_ = true;
    count(status);
    Response response = error_page(status);
    Framing framing = framing_of(response);
    framing.close = true;
    append_head(stream_.out(), response, framing, stream_.server().date());
    body_size_ = framing.head_only ? 0 : response.body().size();
    if (!framing.head_only) stream_.out().append(response.body());
    if (stream_.server().options().access_log && begun_ == Time{}) tell(nullptr);
}

/// A request that ended without a response is logged as 499, as proxies do: it is no registered status code.
COHORT_DECL void Responder::tell(const Request* request) noexcept {
    Access access;
    access.request = request;
    access.status = status_ == 0 ? 499 : status_;
    access.bytes = streaming_ ? body_stream_.written() : body_size_;
    if (begun_ != Time{}) access.took = std::chrono::steady_clock::now() - begun_;
    access.begun =
        std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(access.took);
    begun_ = {}; // once, whatever happens
    try {
        access.client = peer_.address(stream_.socket());
        stream_.server().options().access_log(access);
    } catch (...) { // A log that fails is no reason to fail.
        stream_.server().log(cohort::detail::exception_text());
    }
}

COHORT_DECL int Responder::status_of_failure() noexcept {
    const Server& server = stream_.server();
    if (stream_.overdue()) {
        server.log("a handler took longer than it may");
        return 503;
    }
    try {
        std::rethrow_exception(cohort::detail::current_cause());
    } catch (const Error& error) {
        if (error.status() >= 500) server.log(error.what());
        return error.status();
    } catch (const std::bad_alloc&) {
        server.log("a handler ran out of memory");
        return 503;
    } catch (const std::exception& error) {
        if (!server.cancelled()) server.log(error.what());
    } catch (...) {
        server.log("a handler threw something that is not a std::exception");
    }
    return 500;
}

} // namespace cohort::http::detail

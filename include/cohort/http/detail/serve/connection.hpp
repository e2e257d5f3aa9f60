// SPDX-License-Identifier: MIT
// One HTTP/1.1 connection: requests in, responses out, in order (layer 3).
#pragma once

#include <cohort/http/detail/parse/proxy_header.hpp>
#include <cohort/http/detail/serve/body_reader.hpp>
#include <cohort/http/detail/serve/connection_stream.hpp>
#include <cohort/http/detail/serve/peer.hpp>
#include <cohort/http/detail/serve/responder.hpp>
#include <cohort/http/parser.hpp>
#include <cohort/http/response.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace cohort::http::detail {

/// Everything of a connection except calling the handler, which is up to the serve loop. It calls in this order:
/// take_request or wait_for_request, the handler, the Responder, next; and finish at the end.
class Connection final : public RequestContext, public std::enable_shared_from_this<Connection> {
public:
    Connection(std::shared_ptr<Server> server, Socket socket);

    ConnectionStream& stream() noexcept { return stream_; }
    Responder& responder() noexcept { return responder_; }
    const Request& request() const noexcept { return parser_.request(); }

    /// What others are told of the current request.
    cohort::detail::RequestNote note() const noexcept {
        return {.method = to_string(request().method()),
                .target = request().path(),
                .client = peer_.known_address(),
                .socket = -1};
    }

    /// What comes before HTTP: the header of a proxy, TLS.
    bool has_preamble(bool has_layer) const noexcept {
        return has_layer || (stream_.server().options().proxy_protocol && !peer_.introduced());
    }
    /// Reads it. False when it is invalid: the connection is then closed without an answer.
    Task<bool> open(std::unique_ptr<StreamLayer> layer);

    /// Whether the bytes at hand complete the head of a request.
    bool take_request();

    /// Waits for a request. False when there will be none, and the connection is to be finished; or when it is
    /// asleep().
    Task<bool> wait_for_request();

    /// A connection that has been idle for a while is likely to be so for long: its coroutine ends, its buffers are
    /// gone, and `then` is called when it is to go on with wait_for_request(). Throws std::bad_alloc.
    bool asleep() const noexcept { return asleep_; }
    template <class F>
    void sleep(F then) {
        const Server& server = stream_.server();
        const std::uint64_t deadline = server.after(server.ticks_for().idle - server.ticks_for().park);
        stream_.wait_readable(Waiting::idle, std::min(deadline, server.farewell()), std::move(then));
    }
    void wake() noexcept {
        asleep_ = false;
        overslept_ = stream_.end_wait();
    }

    /// Has unsent responses to earlier requests flushed once the handler suspends. False: a layer cannot do that, so
    /// they must be sent before the handler is called.
    bool flush_soon();
    void flush();

    /// To be called around the handler: they start and stop its timeout. end_handling: true when it was cancelled for
    /// taking too long.
    void begin_handling() noexcept;
    bool end_handling() noexcept {
        return stream_.server().options().handler_timeout.count() > 0 && stream_.server().end_work(stream_);
    }

    /// Goes on to the next request; false when this was the last.
    bool next();

    /// Sends what is left, and ends the connection in a way that lets the client see it.
    Task<> finish();

    std::string_view client_address() override { return peer_.address(stream_.socket()); }
    void extend_deadline(std::chrono::milliseconds by) override {
        if (stream_.server().options().handler_timeout.count() > 0) stream_.server().limit_handler(stream_, by);
    }
    bool draining() const noexcept override { return stream_.server().draining(); }
    Task<> until_draining() override { return stream_.server().until_draining(); }

private:
    Task<bool> read_proxy_header();
    bool hand_over();
    Waiting what_to_wait_for() const noexcept;
    std::uint64_t deadline_for(Waiting what) const noexcept;
    bool fall_asleep();
    bool must_linger() const noexcept;

    Peer peer_;
    ConnectionStream stream_;
    RequestParser parser_;
    BodyReader body_;
    Responder responder_;
    std::uint64_t head_deadline_ = 0; ///< 0: no byte of the next head has come yet
    bool flush_posted_ = false;
    bool asleep_ = false;
    bool overslept_ = false; ///< the idle timeout passed while asleep
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/connection.ipp>
#endif

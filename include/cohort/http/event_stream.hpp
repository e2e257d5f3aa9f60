// SPDX-License-Identifier: MIT
// Server-sent events: a response that goes on for as long as there is something to tell (layer 1).
#pragma once

#include <cohort/http/body.hpp>
#include <cohort/http/response.hpp>
#include <cohort/task.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace cohort::http {

/// One event of an EventStream, as EventSource sees it.
struct StreamEvent {
    std::string_view data{};                          ///< may have several lines, ended by LF, CR LF or CR
    std::string_view name{};                          ///< the type; "": message
    std::string_view id{};                            ///< what the client sends as Last-Event-ID when it reconnects
    std::optional<std::chrono::milliseconds> retry{}; ///< how long it waits before that
};

/// Given to the producer of events(). It holds until that returns; one thing is sent at a time.
class EventStream {
public:
    explicit EventStream(BodyWriter& out) noexcept : out_(&out) {}

    /// Returns when the kernel has taken it. Throws std::invalid_argument for CR, LF or NUL in name or id; as
    /// BodyWriter::write when the client is gone.
    Task<> send(const StreamEvent& event) { return write(*out_, text_of(event)); }

    /// What clients ignore.
    Task<> comment(std::string_view text) { return write(*out_, comment_of(text)); }

    /// An empty comment: only sending reveals that a client is gone, and proxies close connections that stay silent.
    Task<> ping() { return comment(""); }

    /// Whether the server is stopping. The producer is ended then, wherever it waits, and the response with it; clients
    /// reconnect by themselves, to another worker if there is one.
    bool draining() const noexcept { return out_->draining(); }

    /// For a producer that has something to say first: `stream.end_at_drain(false)`, and the server waits until it
    /// returns by itself. See BodyWriter.
    void end_at_drain(bool wanted) { out_->end_at_drain(wanted); }
    [[nodiscard]] Task<> until_draining() const { return out_->until_draining(); }

private:
    static Task<> write(BodyWriter out, std::string text);

    static std::string text_of(const StreamEvent& event);
    static std::string comment_of(std::string_view text);
    static void append_lines(std::string& out, std::string_view name, std::string_view text);
    static void append_field(std::string& out, std::string_view name, std::string_view value);

    BodyWriter* out_;
};

namespace detail {

/// The part of events() that does not depend on the type of the producer.
Response stream_events(std::function<Task<>(EventStream&)> producer);

} // namespace detail

/// 200 with the events that `producer` sends, a Task<>(EventStream&); the response ends when it returns, or when the
/// server is stopping. A client that reconnects says where it left off: request.header("last-event-id").
///
///     Task<> ticks(http::EventStream& stream) {
///         while (true) {
///             co_await sleep(1s);
///             co_await stream.send({.data = "tick"});
///         }
///     }
///     Task<http::Response> clock(const http::Request&) { co_return http::events(ticks); }
template <class P>
Response events(P producer) {
    constexpr bool fits = std::is_invocable_r_v<Task<>, P&, EventStream&>;
    static_assert(fits, "http::events: the producer is callable as Task<>(http::EventStream&)");
    if constexpr (fits) return detail::stream_events(std::move(producer));
}

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/event_stream.ipp>
#endif

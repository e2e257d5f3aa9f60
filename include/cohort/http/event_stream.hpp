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
    std::string_view id{};                            ///< what the client gives as Last-Event-ID when it comes again
    std::optional<std::chrono::milliseconds> retry{}; ///< how long it waits then
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

    /// That the client is gone shows only when something is sent. Proxies, too, give up what is silent for long.
    Task<> ping() { return comment(""); }

    /// Whether the server is to stop. It waits for the producer to return; clients come again by themselves.
    bool draining() const noexcept { return out_->draining(); }

private:
    static Task<> write(BodyWriter out, std::string text);

    static std::string text_of(const StreamEvent& event);
    static std::string comment_of(std::string_view text);
    static void append_lines(std::string& out, std::string_view name, std::string_view text);
    static void append_field(std::string& out, std::string_view name, std::string_view value);

    BodyWriter* out_;
};

namespace detail {

/// What events() answers, when the type of the producer does not matter any more.
Response stream_events(std::function<Task<>(EventStream&)> producer);

} // namespace detail

/// 200 with the events that `producer` sends, a Task<>(EventStream&); the response ends when it returns. A client that
/// was here before says where it was: request.header("last-event-id").
///
///     Task<> ticks(http::EventStream& stream) {
///         while (!stream.draining()) {
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

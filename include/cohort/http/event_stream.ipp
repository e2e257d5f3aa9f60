// SPDX-License-Identifier: MIT
// The bodies of event_stream.hpp (layer 1).
#pragma once

#include <cohort/http/event_stream.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace cohort::http {

COHORT_DECL Task<> EventStream::write(BodyWriter out, std::string text) { co_await out.write(text); }

COHORT_DECL void EventStream::append_lines(std::string& out, std::string_view name, std::string_view text) {
    while (true) {
        const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
        out.append(name).append(": ").append(text.substr(0, end)).append("\n");
        if (end == text.size()) return;
        text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
    }
}

COHORT_DECL void EventStream::append_field(std::string& out, std::string_view name, std::string_view value) {
    if (value.empty()) return;
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
        throw std::invalid_argument("http::StreamEvent: CR, LF or NUL in " + std::string{name});
    out.append(name).append(": ").append(value).append("\n");
}

COHORT_DECL std::string EventStream::text_of(const StreamEvent& event) {
    std::string text;
    append_field(text, "event", event.name);
    append_field(text, "id", event.id);
    if (event.retry) append_field(text, "retry", std::to_string(std::max<std::int64_t>(event.retry->count(), 0)));
    append_lines(text, "data", event.data);
    return text.append("\n");
}

COHORT_DECL std::string EventStream::comment_of(std::string_view text) {
    std::string lines;
    append_lines(lines, "", text);
    return lines.append("\n");
}

} // namespace cohort::http

namespace cohort::http::detail {

COHORT_LAZY COHORT_DECL Task<> run_events(BodyWriter& out, std::function<Task<>(EventStream&)>& producer) {
    EventStream stream(out);
    out.end_at_drain();
    co_await stream.ping(); // the client knows that it is connected, however long the first event takes
    Task<> producing = producer(stream);
    co_await std::move(producing);
}

COHORT_DECL Response stream_events(std::function<Task<>(EventStream&)> producer) {
    Response response;
    response.default_type("text/event-stream").add("Cache-Control", "no-store");
    response.add("X-Accel-Buffering", "no"); // nginx would keep events until there are many
    return response.stream(
        [producer = std::move(producer)](BodyWriter& out) mutable { return run_events(out, producer); });
}

} // namespace cohort::http::detail

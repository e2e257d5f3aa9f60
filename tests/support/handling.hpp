// SPDX-License-Identifier: MIT
// Handlers without a server: the request as a server would give it, and what comes of the answer.
#pragma once

#include <cohort/http/body.hpp>

#include <cohort/http/parser.hpp>
#include <cohort/http/response.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

using namespace cohort;

/// Runs a task to its end, and throws what it does.
inline void complete(Task<> task) {
    asio::io_context io;
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(task), [&failure](std::exception_ptr thrown) { failure = std::move(thrown); });
    io.run();
    if (failure) std::rethrow_exception(failure);
}

/// A request's body in pieces.
class Chunks final : public http::detail::BodySource {
public:
    explicit Chunks(std::vector<std::string> chunks) : chunks_(std::move(chunks)) {}
    Task<std::optional<std::string_view>> read_chunk() override {
        if (next_ == chunks_.size()) co_return std::nullopt;
        co_return chunks_[next_++];
    }

private:
    std::vector<std::string> chunks_;
    std::size_t next_ = 0;
};

/// A request, made of the text of its head.
class ParsedRequest {
public:
    explicit ParsedRequest(std::string_view method, std::string_view target, std::string_view fields = "") {
        const std::string head =
            std::string{method} + " " + std::string{target} + " HTTP/1.1\r\nHost: h\r\n" + std::string{fields} + "\r\n";
        REQUIRE(parser_.parse(head).event == http::ParseEvent::head);
    }
    http::Request& request() { return parser_.request(); }
    const http::Request& operator*() const { return parser_.request(); }
    const http::Request* operator->() const { return &parser_.request(); }

private:
    http::Limits limits_;
    http::RequestParser parser_{limits_};
};

struct Answer {
    int status = 0;
    std::string body{};
    http::Fields fields{};

    std::string field(std::string_view name) const { return std::string{fields.get(name).value_or("")}; }
};

/// Where a streamed body goes.
class StringSink final : public http::detail::BodySink {
public:
    explicit StringSink(std::string& out) : out_(out) {}
    Task<> write_chunk(std::string_view bytes) override {
        out_.append(bytes);
        co_return;
    }

private:
    std::string& out_;
};

inline Task<> note_answer(std::function<Task<http::Response>()> call, bool with_body, Answer& answer) {
    Task<http::Response> task = call();
    const http::Response response = co_await std::move(task);
    answer = {response.status(), response.body(), response.fields()};
    if (!response.streamed() || !with_body) co_return;
    StringSink sink(answer.body);
    http::BodyWriter writer(sink);
    Task<> writing = response.producer()(writer);
    co_await std::move(writing);
    if (response.length()) CHECK(answer.body.size() == *response.length());
}

/// What the call answers, streamed or not.
inline Answer answer_of(std::function<Task<http::Response>()> call, bool with_body = true) {
    Answer answer;
    complete(note_answer(std::move(call), with_body, answer));
    return answer;
}

/// What is known already, as the answer of a handler.
inline Task<http::Response> respond(http::Response response) { co_return response; }

/// What a handler without a context answers.
template <class H>
Answer ask(const H& handler, std::string_view method, std::string_view target, std::string_view fields = "") {
    const ParsedRequest parsed(method, target, fields);
    return answer_of([&] { return handler(*parsed); }, method != "HEAD");
}

} // namespace test

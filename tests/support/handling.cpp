// SPDX-License-Identifier: MIT
#include "handling.hpp"

#include "spawn.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <exception>

namespace test {

void complete(Task<> task) {
    asio::io_context io;
    std::exception_ptr failure;
    spawn(io, std::move(task), [&failure](std::exception_ptr thrown) { failure = std::move(thrown); });
    io.run();
    if (failure) std::rethrow_exception(failure);
}

Chunks::Chunks(std::vector<std::string> chunks) : chunks_(std::move(chunks)) {}

Task<std::optional<std::string_view>> Chunks::read_chunk() {
    if (next_ == chunks_.size()) co_return std::nullopt;
    co_return chunks_[next_++];
}

ParsedRequest::ParsedRequest(std::string_view method, std::string_view target, std::string_view fields) {
    const std::string head =
        std::string{method} + " " + std::string{target} + " HTTP/1.1\r\nHost: h\r\n" + std::string{fields} + "\r\n";
    REQUIRE(parser_.parse(head).event == http::ParseEvent::head);
}

http::Request& ParsedRequest::request() { return parser_.request(); }

const http::Request& ParsedRequest::operator*() const { return parser_.request(); }

const http::Request* ParsedRequest::operator->() const { return &parser_.request(); }

std::string Answer::field(std::string_view name) const { return std::string{fields.get(name).value_or("")}; }

Task<> StringSink::write_chunk(std::string_view bytes) {
    out_.append(bytes);
    co_return;
}

Task<> note_answer(std::function<Task<http::Response>()> call, bool with_body, Answer& answer) {
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

Answer answer_of(std::function<Task<http::Response>()> call, bool with_body) {
    Answer answer;
    complete(note_answer(std::move(call), with_body, answer));
    return answer;
}

Task<http::Response> respond(http::Response response) { co_return response; }

} // namespace test

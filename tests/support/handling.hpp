// SPDX-License-Identifier: MIT
// Handlers without a server: the request as a server would give it, and what comes of the answer.
#pragma once

#include <cohort/http/body.hpp>

#include <cohort/http/parser.hpp>
#include <cohort/http/response.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

using namespace cohort;

/// Runs a task to its end, and throws what it does.
void complete(Task<> task);

/// A request's body in pieces.
class Chunks final : public http::detail::BodySource {
public:
    explicit Chunks(std::vector<std::string> chunks);
    Task<std::optional<std::string_view>> read_chunk() override;

private:
    std::vector<std::string> chunks_;
    std::size_t next_ = 0;
};

/// A request, made of the text of its head.
class ParsedRequest {
public:
    explicit ParsedRequest(std::string_view method, std::string_view target, std::string_view fields = "");
    http::Request& request();
    const http::Request& operator*() const;
    const http::Request* operator->() const;

private:
    http::Limits limits_;
    http::RequestParser parser_{limits_};
};

struct Answer {
    int status = 0;
    std::string body{};
    http::Fields fields{};

    std::string field(std::string_view name) const;
};

/// Where a streamed body goes.
class StringSink final : public http::detail::BodySink {
public:
    explicit StringSink(std::string& out) : out_(out) {}
    Task<> write_chunk(std::string_view bytes) override;

private:
    std::string& out_;
};

Task<> note_answer(std::function<Task<http::Response>()> call, bool with_body, Answer& answer);

/// What the call answers, streamed or not.
Answer answer_of(std::function<Task<http::Response>()> call, bool with_body = true);

/// What is known already, as the answer of a handler.
Task<http::Response> respond(http::Response response);

/// What a handler without a context answers.
template <class H>
Answer ask(const H& handler, std::string_view method, std::string_view target, std::string_view fields = "") {
    const ParsedRequest parsed(method, target, fields);
    return answer_of([&] { return handler(*parsed); }, method != "HEAD");
}

} // namespace test

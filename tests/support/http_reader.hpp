// SPDX-License-Identifier: MIT
// What a parser makes of a stream, written down so that it can be compared.
#pragma once

#include <cohort/http/parser.hpp>

#include <string>
#include <string_view>

namespace test {

/// In the words of HttpRule.
struct HttpReader {
    explicit HttpReader(const cohort::http::Limits& limits) : parser(limits) {}

    void feed(std::string_view bytes) {
        while (!note(parser.parse(bytes), bytes)) continue;
    }

    /// Whether nothing more can be made of the bytes, of which those of this step are taken.
    bool note(const cohort::http::RequestParser::Step& step, std::string_view& bytes) {
        using cohort::http::ParseEvent;
        bytes.remove_prefix(step.consumed);
        if (step.event == ParseEvent::head) note_head();
        if (step.event == ParseEvent::body) body += step.body;
        if (step.event == ParseEvent::error) note_refusal();
        if (step.event == ParseEvent::error || step.event == ParseEvent::need_more) return true;
        if (parser.complete()) end_message();
        return false;
    }

    void note_head() {
        const cohort::http::Request& request = parser.request();
        seen += std::string{to_string(request.method())} + " " + std::string{request.path()};
        if (!request.query().empty()) seen += "?" + std::string{request.query()};
        for (const cohort::http::Field field : request.fields())
            seen += "|" + std::string{field.name} + "=" + std::string{field.value};
        if (!request.keep_alive()) seen += " close";
        if (parser.expects_continue()) seen += " expects";
    }

    void note_refusal() {
        if (refused) return;
        refused = true;
        seen += "!" + std::to_string(parser.refuse());
    }

    void end_message() {
        if (!body.empty()) seen += " <" + body + ">";
        seen += ";";
        body.clear();
        parser.restart();
    }

    cohort::http::RequestParser parser;
    std::string seen;
    std::string body;
    bool refused = false;
};

} // namespace test

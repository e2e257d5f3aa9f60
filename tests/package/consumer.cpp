// SPDX-License-Identifier: MIT
// Uses cohort with HTTP in the header-only way, so that llhttp must have been linked.
#include <cohort/http/parser.hpp>
#include <cohort/version.hpp>

#include <iostream>

int main() {
    const cohort::http::Limits limits;
    cohort::http::RequestParser parser(limits);
    const auto step = parser.parse("GET /hello HTTP/1.1\r\nHost: here\r\n\r\n");
    std::cout << "cohort " << COHORT_VERSION_STRING << ": " << parser.request().path() << '\n';
    return step.consumed != 0 && parser.request().path() == "/hello" ? 0 : 1;
}

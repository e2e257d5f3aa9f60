// SPDX-License-Identifier: MIT
// The bodies of serve.hpp (layer 3).
#pragma once

#include <cohort/http/serve.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::http::detail {

COHORT_DECL Task<> refuse_connection(Connection& connection) {
    const Server::Refusal refusal(connection.stream().server());
    connection.responder().refuse(503);
    co_await connection.finish();
}

COHORT_DECL void end(Connection& connection) {
    connection.stream().end();
    connection.stream().server().ended(connection.stream());
}

} // namespace cohort::http::detail

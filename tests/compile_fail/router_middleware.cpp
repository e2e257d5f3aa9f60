// SPDX-License-Identifier: MIT
// A middleware that does not say what comes next to it.
// expect-first: http::Router: a middleware is callable as Task<Response>\(Context&, const Request&, Next\)
#include <cohort/http/router.hpp>

cohort::Task<cohort::http::Response> log(const cohort::http::Request&) { co_return cohort::http::status(204); }

void build(cohort::http::Router<>& router) { router.use(log); }

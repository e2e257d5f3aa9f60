// SPDX-License-Identifier: MIT
// The life of a server: accepts, has every connection answered, and ends when all of them have (layer 3).
#pragma once

#include <cohort/http/detail/route/service.hpp>
#include <cohort/http/detail/serve/any_acceptor.hpp>
#include <cohort/http/options.hpp>
#include <cohort/task.hpp>

#include <memory>

namespace cohort::http::detail {

/// What http::serve does, whatever the types of acceptor and handler. It owns both adapters until nothing calls them.
Task<> serve_all(std::unique_ptr<AnyAcceptor> acceptor, std::unique_ptr<AnyHandler> handler, ServerOptions options);

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/serve_loop.ipp>
#endif

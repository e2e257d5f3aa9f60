// SPDX-License-Identifier: MIT
// What the answer to an http::Error has besides its status (layer 1).
#pragma once

#include <cohort/http/response.hpp>
#include <cohort/http/status.hpp>

#include <exception>

namespace cohort::http::detail {

/// Adds those fields of the error that the response does not have, if it has the error's status.
void add_error_fields(Response& response, const Error& error);

/// The same for what was thrown, which may be something else.
void add_error_fields(Response& response, const std::exception_ptr& failure);

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/respond/error_fields.ipp>
#endif

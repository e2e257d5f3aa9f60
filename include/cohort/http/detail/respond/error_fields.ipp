// SPDX-License-Identifier: MIT
// The bodies of error_fields.hpp (layer 1).
#pragma once

#include <cohort/http/detail/respond/error_fields.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::http::detail {

COHORT_DECL void add_error_fields(Response& response, const Error& error) {
    if (response.status() != error.status()) return;
    for (const Field field : error.fields())
        if (!response.fields().contains(field.name)) response.add(field.name, field.value);
}

COHORT_DECL void add_error_fields(Response& response, const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const Error& error) {
        add_error_fields(response, error);
    } catch (...) { // It has none.
    }
}

} // namespace cohort::http::detail

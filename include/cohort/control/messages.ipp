// SPDX-License-Identifier: MIT
// The bodies of messages.hpp (layer 1).
#pragma once

#include <cohort/control/messages.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>

#include <exception>
#include <utility>

namespace cohort::control {

COHORT_DECL Failure Failure::of(std::error_code error, std::string text) {
    if (!error) return {};
    return {error.category().name(), error.value(), text.empty() ? error.message() : std::move(text)};
}

COHORT_DECL Failure Failure::current() {
    try {
        std::rethrow_exception(detail::current_cause());
    } catch (const std::system_error& error) {
        return of(error.code(), error.what());
    } catch (...) {
        return of(make_error_code(Errc::call_failed), detail::exception_text());
    }
}

COHORT_DECL std::error_code Failure::code() const noexcept {
    if (category.empty()) return {};
    if (category == error_category().name()) return {value, error_category()};
    if (category == std::system_category().name()) return {value, std::system_category()};
    if (category == std::generic_category().name()) return {value, std::generic_category()};
    return make_error_code(Errc::call_failed);
}

} // namespace cohort::control

// SPDX-License-Identifier: MIT
// The body of exception_text.hpp (layer 0).
#pragma once

#include <cohort/detail/exception_text.hpp>

#include <cohort/detail/printable.hpp>

#include <asio/multiple_exceptions.hpp>

namespace cohort::detail {

COHORT_DECL std::exception_ptr current_cause() noexcept {
    std::exception_ptr cause = std::current_exception();
    for (;;) {
        try {
            std::rethrow_exception(cause);
        } catch (const asio::multiple_exceptions& several) {
            cause = several.first_exception();
        } catch (...) {
            return cause;
        }
    }
}

COHORT_DECL std::string exception_text() {
    try {
        std::rethrow_exception(current_cause());
    } catch (const std::exception& error) {
        return printable(error.what());
    } catch (...) {
        return "something was thrown that is not a std::exception";
    }
}

} // namespace cohort::detail

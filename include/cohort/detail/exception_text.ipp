// SPDX-License-Identifier: MIT
// The body of exception_text.hpp (layer 0).
#pragma once

#include <cohort/detail/exception_text.hpp>

#include <cohort/detail/printable.hpp>

namespace cohort::detail {

COHORT_DECL std::string exception_text() {
    try {
        throw;
    } catch (const std::exception& error) {
        return printable(error.what());
    } catch (...) {
        return "something was thrown that is not a std::exception";
    }
}

} // namespace cohort::detail

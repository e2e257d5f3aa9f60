// SPDX-License-Identifier: MIT
// What an exception of any type says (layer 0).
#pragma once

#include <cohort/detail/config.hpp>

#include <exception>
#include <string>

namespace cohort::detail {

/// The exception that is being handled; of several at a time (asio's `&&`) the first that was thrown.
std::exception_ptr current_cause() noexcept;

/// Of the current cause: its what(), if it has one, as it may be shown. A program may throw anything.
std::string exception_text();

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/exception_text.ipp>
#endif

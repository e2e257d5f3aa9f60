// SPDX-License-Identifier: MIT
// Where the fields of a head lie in it, as llhttp finds them (layer 1).
#pragma once

#include <cohort/http/fields.hpp>

#include <cstddef>
#include <string_view>
#include <vector>

namespace cohort::http::detail {

/// Splits a whole head, whose lines have been checked, into its `count` fields; false when llhttp finds otherwise.
bool split_fields(std::string_view head, std::size_t count, std::vector<FieldSpan>& fields);

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/parse/field_splitter.ipp>
#endif

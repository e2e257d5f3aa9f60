// SPDX-License-Identifier: MIT
// Whether a client has something already, and which part of it is asked for (layer 1).
#pragma once

#include <cohort/http/fields.hpp>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace cohort::http::detail {

/// What tells one state of a resource from another.
struct Validators {
    std::string etag;         ///< strong, with its quotes
    std::time_t modified = 0; ///< not in the future
};

/// Takes one entity tag off the front of a list (RFC 9110 section 8.8.3): the quoted part. Nothing at the end, or where
/// the list is malformed.
std::optional<std::string_view> take_etag(std::string_view& list, bool& weak) noexcept;

/// Whether the fields of that name have the tag, or `*`.
bool lists_etag(const Fields& fields, std::string_view name, std::string_view etag, bool weak_is_enough);

/// The conditions of a GET or HEAD, in the order of RFC 9110 section 13.2.2: 304, 412, or 0 to go on.
int check_conditions(const Fields& fields, const Validators& current, std::time_t now);

/// Whether the part that the client has is of this state, so that the requested one fits it (RFC 9110 section 13.1.5).
bool check_if_range(const Fields& fields, const Validators& current, std::time_t now);

/// What is to be sent of `size` bytes.
struct Range {
    enum class Kind : std::uint8_t {
        whole,
        part,
        unsatisfiable, ///< 416
    };
    Kind kind = Kind::whole;
    std::uint64_t begin = 0;
    std::uint64_t count = 0;
};

/// Parses decimal digits; overflow gives UINT64_MAX. Nothing for any other text.
std::optional<std::uint64_t> to_position(std::string_view digits) noexcept;

/// Reads a Range field (RFC 9110 section 14.2). Only one range is answered as such: what is malformed, of another unit,
/// or several ranges, gets the whole.
Range parse_range(std::string_view text, std::uint64_t size) noexcept;

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/respond/conditional.ipp>
#endif

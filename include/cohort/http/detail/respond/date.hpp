// SPDX-License-Identifier: MIT
// Points in time as HTTP writes them (layer 1).
#pragma once

#include <array>
#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace cohort::http::detail {

// Not strftime and strptime, whose names follow the locale.
inline constexpr std::array<std::string_view, 7> day_names{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                           "Thursday", "Friday", "Saturday"};
inline constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// A second of UTC, taken apart.
struct CivilTime {
    int year, month, day, hour, minute, second, weekday; ///< month: from 0; weekday: from Sunday, 0
};

CivilTime to_civil(std::time_t time) noexcept;

void append_padded(std::string& out, int number, int digits);

void append_clock(std::string& out, const CivilTime& time);

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7). Years before 1970 and past 9999 become the nearest ones.
void append_date(std::string& out, std::time_t time);

/// Parses a date from its front; a mismatch shows in ended_well().
class DateReader {
public:
    explicit DateReader(std::string_view text) noexcept : text_(text) {}

    void skip(std::string_view expected) noexcept;
    int number(std::size_t digits) noexcept;
    void day_name(bool whole) noexcept;
    int month_name() noexcept;
    void clock(CivilTime& time) noexcept {
        time.hour = number(2), skip(":"), time.minute = number(2), skip(":"), time.second = number(2);
    }
    bool next_is(char c) const noexcept { return text_.starts_with(c); }
    bool ended_well() const noexcept { return fits_ && text_.empty(); }

private:
    std::string_view text_;
    bool fits_ = true;
};

std::optional<std::time_t> to_time(const CivilTime& civil) noexcept;

/// Reads a date in any of the three forms of RFC 9110 section 5.6.7, two of which only old clients write. The century
/// of a two-digit year follows from `now`: no date is more than 50 years in the future.
std::optional<std::time_t> parse_date(std::string_view text, std::time_t now) noexcept;

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/respond/date.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of date.hpp (layer 1).
#pragma once

#include <cohort/http/detail/respond/date.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>

#include <algorithm>
#include <chrono>

namespace cohort::http::detail {

COHORT_DECL CivilTime to_civil(std::time_t time) noexcept {
    using namespace std::chrono;
    constexpr std::time_t last = 253402300799; // of the year 9999
    const std::time_t second = std::clamp<std::time_t>(time, 0, last);
    const sys_days date{days{second / 86400}};
    const year_month_day day(date);
    const int rest = static_cast<int>(second % 86400);
    return {static_cast<int>(day.year()),
            static_cast<int>(static_cast<unsigned>(day.month())) - 1,
            static_cast<int>(static_cast<unsigned>(day.day())),
            rest / 3600,
            rest / 60 % 60,
            rest % 60,
            static_cast<int>(weekday(date).c_encoding())};
}

COHORT_DECL void append_padded(std::string& out, int number, int digits) {
    int unit = 1;
    while (--digits > 0) unit *= 10;
    for (; unit != 0; unit /= 10) out += static_cast<char>('0' + number / unit % 10);
}

COHORT_DECL void append_clock(std::string& out, const CivilTime& time) {
    append_padded(out, time.hour, 2);
    append_padded(out += ':', time.minute, 2);
    append_padded(out += ':', time.second, 2);
}

COHORT_DECL void append_date(std::string& out, std::time_t time) {
    const CivilTime civil = to_civil(time);
    out.append(day_names[static_cast<std::size_t>(civil.weekday)].substr(0, 3)).append(", ");
    append_padded(out, civil.day, 2);
    out.append(" ").append(month_names.substr(static_cast<std::size_t>(civil.month) * 3, 3)).append(" ");
    append_padded(out, civil.year, 4);
    append_clock(out += ' ', civil);
    out.append(" GMT");
}

COHORT_DECL void DateReader::skip(std::string_view expected) noexcept {
    if (text_.starts_with(expected))
        text_.remove_prefix(expected.size());
    else
        fits_ = false;
}

COHORT_DECL int DateReader::number(std::size_t digits) noexcept {
    int value = 0;
    if (text_.size() < digits) return fits_ = false, 0;
    for (const char c : text_.substr(0, digits)) {
        fits_ = fits_ && is_digit(c);
        value = value * 10 + (c - '0');
    }
    text_.remove_prefix(digits);
    return value;
}

COHORT_DECL void DateReader::day_name(bool whole) noexcept {
    for (const std::string_view name : day_names) {
        const std::string_view expected = name.substr(0, whole ? name.size() : 3);
        if (text_.starts_with(expected)) return text_.remove_prefix(expected.size());
    }
    fits_ = false;
}

COHORT_DECL int DateReader::month_name() noexcept {
    const std::size_t found = text_.size() < 3 ? 1 : month_names.find(text_.substr(0, 3));
    if (found % 3 != 0 || found >= month_names.size()) return fits_ = false, 0;
    text_.remove_prefix(3);
    return static_cast<int>(found / 3);
}

COHORT_DECL std::optional<std::time_t> to_time(const CivilTime& civil) noexcept {
    using namespace std::chrono;
    const year_month_day date(year(civil.year), month(static_cast<unsigned>(civil.month) + 1),
                              day(static_cast<unsigned>(civil.day)));
    if (!date.ok() || civil.hour > 23 || civil.minute > 59 || civil.second > 60) return std::nullopt;
    return sys_days(date).time_since_epoch().count() * std::time_t{86400} + civil.hour * 3600 + civil.minute * 60 +
           civil.second;
}

COHORT_DECL std::optional<std::time_t> parse_date(std::string_view text, std::time_t now) noexcept {
    DateReader reader(text);
    CivilTime civil{};
    const std::size_t comma = text.find(',');
    if (comma == std::string_view::npos) { // Sun Nov  6 08:49:37 1994
        reader.day_name(false), reader.skip(" ");
        civil.month = reader.month_name(), reader.skip(" ");
        if (reader.next_is(' '))
            reader.skip(" "), civil.day = reader.number(1);
        else
            civil.day = reader.number(2);
        reader.skip(" "), reader.clock(civil), reader.skip(" "), civil.year = reader.number(4);
        return reader.ended_well() ? to_time(civil) : std::nullopt;
    }
    const bool old = comma != 3; // Sunday, 06-Nov-94 08:49:37 GMT
    const std::string_view between = old ? "-" : " ";
    reader.day_name(old), reader.skip(", ");
    civil.day = reader.number(2), reader.skip(between), civil.month = reader.month_name(), reader.skip(between);
    civil.year = reader.number(old ? 2 : 4);
    reader.skip(" "), reader.clock(civil), reader.skip(" GMT");
    if (old) {
        const int this_year = to_civil(now).year;
        civil.year += this_year / 100 * 100;
        if (civil.year > this_year + 50) civil.year -= 100;
    }
    return reader.ended_well() ? to_time(civil) : std::nullopt;
}

} // namespace cohort::http::detail

// SPDX-License-Identifier: MIT
// The bodies of fields.hpp (layer 1).
#pragma once

#include <cohort/http/fields.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>

#include <stdexcept>
#include <utility>

namespace cohort::http {

COHORT_DECL Fields::Iterator Fields::begin() const noexcept { return {*this, 0}; }

COHORT_DECL Fields::Iterator Fields::end() const noexcept { return {*this, entries_.size()}; }

COHORT_DECL Field Fields::operator[](std::size_t index) const noexcept {
    const detail::FieldSpan& entry = entries_[index];
    return {entry.name_in(text_), entry.value_in(text_)};
}

COHORT_DECL std::optional<std::string_view> Fields::get(std::string_view name) const noexcept {
    for (const Field field : *this)
        if (detail::equal_ignoring_case(field.name, name)) return field.value;
    return std::nullopt;
}

COHORT_DECL bool Fields::has_token(std::string_view name, std::string_view token) const noexcept {
    for (const Field field : *this) {
        if (!detail::equal_ignoring_case(field.name, name)) continue;
        for (std::string_view list = field.value; !list.empty();)
            if (detail::equal_ignoring_case(detail::trim(detail::take_until(list, ',')), token)) return true;
    }
    return false;
}

COHORT_DECL void Fields::add(std::string_view name, std::string_view value) {
    if (!detail::is_token(name)) throw std::invalid_argument("http::Fields: a field name is not a token");
    if (!detail::all_are(value, detail::char_line))
        throw std::invalid_argument("http::Fields: a control character in the value of " + std::string{name});
    if (text_.size() + name.size() + value.size() > UINT32_MAX) throw std::length_error("http::Fields: too large");
    detail::FieldSpan entry;
    entry.name = static_cast<std::uint32_t>(text_.size());
    entry.name_size = static_cast<std::uint32_t>(name.size());
    entry.value = entry.name + entry.name_size;
    entry.value_size = static_cast<std::uint32_t>(value.size());
    text_.append(name).append(value);
    entries_.push_back(entry);
}

COHORT_DECL void Fields::set(std::string_view name, std::string_view value) {
    Fields fresh = *this;
    fresh.remove(name);
    fresh.add(name, value);
    *this = std::move(fresh);
}

COHORT_DECL std::size_t Fields::remove(std::string_view name) {
    // The text of what is removed stays behind: removing is rare and the fields are short-lived.
    return std::erase_if(entries_, [this, name](const detail::FieldSpan& entry) {
        return detail::equal_ignoring_case(entry.name_in(text_), name);
    });
}

COHORT_DECL void Fields::clear() noexcept {
    text_.clear();
    entries_.clear();
}

} // namespace cohort::http

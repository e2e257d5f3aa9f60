// SPDX-License-Identifier: MIT
// The bodies of form.hpp (layer 1).
#pragma once

#include <cohort/http/form.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/status.hpp>

namespace cohort::http {

COHORT_DECL std::optional<std::string_view> Form::get(std::string_view name) const noexcept {
    for (const Entry& entry : entries_)
        if (entry.name == name) return entry.value;
    return std::nullopt;
}

COHORT_DECL std::vector<std::string_view> Form::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const Entry& entry : entries_)
        if (entry.name == name) values.push_back(entry.value);
    return values;
}

COHORT_DECL Form parse_form(std::string_view text, std::size_t most) {
    Form form;
    while (!text.empty()) {
        std::string_view value = detail::take_until(text, '&');
        if (value.empty()) continue;
        if (form.size() == most) throw Error(413, "a form of more than " + std::to_string(most) + " names");
        const std::string_view name = detail::take_until(value, '=');
        form.add(detail::decode(name, true), detail::decode(value, true));
    }
    return form;
}

} // namespace cohort::http

// SPDX-License-Identifier: MIT
// What forms and queries hold: names with values (layer 1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cohort::http {

/// Names and values as a form was filled in: decoded, in their order. A name may be there several times.
class Form {
public:
    struct Entry {
        std::string name;
        std::string value;
    };

    std::size_t size() const noexcept { return entries_.size(); }
    bool empty() const noexcept { return entries_.empty(); }
    auto begin() const noexcept { return entries_.begin(); }
    auto end() const noexcept { return entries_.end(); }

    /// The first value of that name; "" for a name without one. Views hold as long as the Form.
    std::optional<std::string_view> get(std::string_view name) const noexcept;

    bool contains(std::string_view name) const noexcept { return get(name).has_value(); }

    /// All values of that name.
    std::vector<std::string_view> all(std::string_view name) const;

    void add(std::string name, std::string value) { entries_.push_back({std::move(name), std::move(value)}); }

private:
    std::vector<Entry> entries_;
};

/// Reads application/x-www-form-urlencoded: "name=J%C3%BCrgen+M&flag". No text is malformed: an invalid escape stands
/// for itself. Throws http::Error 413 for more names than `most`.
Form parse_form(std::string_view text, std::size_t most = SIZE_MAX);

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/form.ipp>
#endif

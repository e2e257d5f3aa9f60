// SPDX-License-Identifier: MIT
// The header fields of a message, in their order (layer 1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cohort::http {

class Request;
class RequestParser;

namespace detail {

/// Where a field lies in the text it is a part of.
struct FieldSpan {
    std::uint32_t name = 0;
    std::uint32_t name_size = 0;
    std::uint32_t value = 0;
    std::uint32_t value_size = 0;

    std::string_view name_in(std::string_view text) const noexcept { return text.substr(name, name_size); }
    std::string_view value_in(std::string_view text) const noexcept { return text.substr(value, value_size); }
};

} // namespace detail

/// One field. The views hold until the Fields they come from are changed.
struct Field {
    std::string_view name;
    std::string_view value;
};

/// Names are compared without regard to case and may repeat. All text lies in one string, so that fields that are
/// reused (the request of a connection) allocate nothing, and a response without fields of its own costs nothing.
class Fields {
public:
    class Iterator;

    std::size_t size() const noexcept { return entries_.size(); }
    bool empty() const noexcept { return entries_.empty(); }
    Field operator[](std::size_t index) const noexcept;
    Iterator begin() const noexcept;
    Iterator end() const noexcept;

    /// The value of the first field of that name.
    std::optional<std::string_view> get(std::string_view name) const noexcept;

    bool contains(std::string_view name) const noexcept { return get(name).has_value(); }

    /// Whether a field of that name lists `token`: has_token("connection", "close").
    bool has_token(std::string_view name, std::string_view token) const noexcept;

    /// Adds one more field. Throws std::invalid_argument for a name that is not a token and for a control
    /// character other than the tab in the value (RFC 9110 section 5.5): nothing that is put here can split a message.
    /// The arguments must not point into these same fields.
    void add(std::string_view name, std::string_view value);

    /// Replaces all fields of that name by one. Throws as add().
    void set(std::string_view name, std::string_view value);

    /// Removes all fields of that name and says how many there were.
    std::size_t remove(std::string_view name);

    void clear() noexcept;

private:
    friend class Request;
    friend class RequestParser;

    std::string text_;
    std::vector<detail::FieldSpan> entries_;
};

class Fields::Iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Field;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = Field;

    Iterator() = default;
    Iterator(const Fields& fields, std::size_t index) noexcept : fields_(&fields), index_(index) {}

    Field operator*() const noexcept { return (*fields_)[index_]; }
    Iterator& operator++() noexcept { return ++index_, *this; }
    Iterator operator++(int) noexcept { return {*fields_, index_++}; }
    bool operator==(const Iterator& other) const noexcept { return index_ == other.index_; }

private:
    const Fields* fields_ = nullptr;
    std::size_t index_ = 0;
};

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/fields.ipp>
#endif

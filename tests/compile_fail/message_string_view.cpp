// SPDX-License-Identifier: MIT
// A message with a view of text that stays behind.
// expect-first: cohort: this type cannot be a message: it holds a view.* Hold a std::string
// expect: (Culprit = |Fault::view, )std::basic_string_view
#include <cohort/serialize.hpp>

#include <optional>
#include <string_view>

struct Hit {
    std::optional<std::string_view> path;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

// SPDX-License-Identifier: MIT
// The name of a type as the compiler spells it, for messages to people (layer 1).
#pragma once

#include <cstddef>
#include <string_view>

namespace cohort::detail {

template <class T>
consteval std::string_view signature_with() {
    return __PRETTY_FUNCTION__;
}

/// The name of `T` with its namespaces and without `struct` or `class`. The spelling differs between compilers
/// (`std::__cxx11::basic_string<char>`), so it identifies a type only among programs that one compiler built.
template <class T>
consteval std::string_view type_name() {
    // Where the name stands in the signature is learnt from a type whose name is known.
    constexpr std::string_view known = signature_with<double>();
    constexpr std::size_t before = known.find("double");
    constexpr std::size_t behind = known.size() - before - std::string_view{"double"}.size();
    std::string_view name = signature_with<T>();
    name.remove_prefix(before);
    name.remove_suffix(behind);
    return name;
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// share: a new object with shared ownership (layer 0).
#pragma once

#include <memory>
#include <utility>

namespace cohort::detail {

/// As std::make_shared, with an allocation more, for what is made seldom: g++ compiles half as many functions for it,
/// some 30 for each T.
template <class T, class... Args>
std::shared_ptr<T> share(Args&&... args) {
    return std::shared_ptr<T>(new T(std::forward<Args>(args)...));
}

} // namespace cohort::detail

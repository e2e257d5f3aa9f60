// SPDX-License-Identifier: MIT
// Action: a deferred call, and the owner that keeps its object alive (layer 3).
#pragma once

#include <asio/any_io_executor.hpp>

#include <memory>
#include <utility>

namespace cohort::detail {

/// A member function bound to an object, and the owner that keeps it alive until the call. A std::function of a lambda
/// would do the same; g++ compiles some 25 functions for each such lambda, and 60 to 130 where it is a handler of
/// Asio's.
class Action {
public:
    Action(void (*call)(void*), void* object, std::shared_ptr<void> owner) noexcept
        : call_(call), object_(object), owner_(std::move(owner)) {}

    void operator()() const { call_(object_); }

private:
    void (*call_)(void*);
    void* object_;
    std::shared_ptr<void> owner_;
};

template <auto Method, class T>
void call_method(void* object) {
    (static_cast<T*>(object)->*Method)();
}

/// Calls `Method` of the object, which `owner` keeps alive. Without an owner, whatever holds the action must not
/// outlive the object: a Timer that is its member does not.
template <auto Method, class T>
Action action(T* object, std::shared_ptr<void> owner = nullptr) noexcept {
    return Action(call_method<Method, T>, object, std::move(owner));
}

/// At the next turn of the event loop. May be called on any thread.
void post(const asio::any_io_executor& executor, Action action);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/action.ipp>
#endif

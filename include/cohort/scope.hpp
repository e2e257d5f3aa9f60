// SPDX-License-Identifier: MIT
// with_workers(): workers that live as long as one function of the master (layer 5).
#pragma once

#include <cohort/detail/access.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/master.hpp>
#include <cohort/task.hpp>

#include <asio/this_coro.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace cohort {

namespace detail {

/// The workers of one group. Unless end() was called, destroying it asks them to leave.
class WorkerGroup {
public:
    explicit WorkerGroup(MasterBase& master);
    WorkerGroup(const WorkerGroup&) = delete;
    WorkerGroup& operator=(const WorkerGroup&) = delete;
    ~WorkerGroup() { close(); }

    unsigned number() const noexcept { return number_; }
    /// Asks them to leave and waits until they have ended, even if the wait is cancelled. Call it with
    /// asio::this_coro::throw_if_cancelled(false) in effect.
    COHORT_LAZY Task<> end();

private:
    void close();

    Supervisor& supervisor_;
    std::weak_ptr<bool> lifetime_; // of the supervisor: the group may outlive it
    unsigned number_;
};

/// The result of a Task<T>, also for void.
template <class T>
struct Outcome {
    Task<> await(Task<T> task) {
        T result = co_await std::move(task);
        value.emplace(std::move(result));
    }
    T take() { return std::move(*value); }
    std::optional<T> value;
};
template <>
struct Outcome<void> {
    Task<> await(Task<> task) { return task; }
    void take() {}
};

template <class T>
struct ValueOf;
template <class T>
struct ValueOf<Task<T>> {
    using type = T;
};

template <class Body, class App>
concept ScopeBody = requires { typename ValueOf<std::invoke_result_t<Body&, App&>>::type; };

/// What with_workers() gives: the Task of its body.
template <class Body, class App>
struct ScopeTask {
    static_assert(ScopeBody<Body, App>, "cohort: the master's function given to with_workers must be callable as "
                                        "Task<T>(App&): a named coroutine function is best");
    using type = std::invoke_result_t<Body&, App&>;
};

} // namespace detail

/// Starts `count` workers for `work`, as Master::spawn does, and runs `body`, a `Task<T>(App&)`. When that ends, by a
/// result, an exception or cancellation, its workers and their successors are asked to leave and killed after
/// Options::grace; they have ended when this returns or throws. Other workers are not affected. If not all can be
/// started, it throws the error of spawn() without running `body`.
///
///     const Sum sum = co_await with_workers(app, 4, work, add_up);
template <class App, class Work, class Body>
[[nodiscard]] auto with_workers(App& app, unsigned count, Work work, Body body) ->
    typename detail::ScopeTask<Body, App>::type {
    using T = typename detail::ValueOf<std::invoke_result_t<Body&, App&>>::type;
    detail::WorkerGroup group(app);
    detail::Outcome<T> outcome;
    std::exception_ptr failure;
    try {
        for (unsigned i = 0; i < count; ++i) detail::Access::spawn_in(app, group.number(), work, app.options().worker);
        co_await outcome.await(body(app));
    } catch (...) {
        failure = std::current_exception();
    }
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await group.end();
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (failure) std::rethrow_exception(failure);
    co_return outcome.take();
}

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/scope.ipp>
#endif

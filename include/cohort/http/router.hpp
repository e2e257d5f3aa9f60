// SPDX-License-Identifier: MIT
// Router: which handler answers which method and path (layer 1).
#pragma once

#include <cohort/http/detail/route/routes.hpp>
#include <cohort/http/detail/route/service.hpp>
#include <cohort/http/middleware.hpp>
#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/task.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

namespace cohort::http {

/// Anything that answers requests without a context.
template <class H>
concept Handler = std::is_invocable_r_v<Task<Response>, H&, const Request&>;

/// Anything that answers requests for a Context (a worker, an application), with or without using it.
template <class H, class Context>
concept HandlerFor = Handler<H> || std::is_invocable_r_v<Task<Response>, H&, Context&, const Request&>;

/// Patterns are paths whose segments are text, `:name` (one segment), at the end also `:name?` (one or none) and
/// `*rest` (any number). Text beats a parameter beats a wildcard, whatever the order of registration. A slash at the
/// end of a path makes no difference. Captured values: Request::param.
///
/// HEAD is answered by the route of GET, an unknown path with 404, and a known one with another method with 405 and
/// Allow, or for OPTIONS with 204 and Allow; `OPTIONS *` with all methods that the router has. These answers pass
/// through the middleware like those of handlers, and on_error() says what the 404 and the 405 look like. What the
/// server refuses before there is a Request to route does not come here: ServerOptions::error_page.
///
///     http::Router<App::Worker> router;
///     router.get("/hello/:name?", hello).use("/admin", signed_in).mount("/api", api);
///     co_await http::serve(self, listener, router);
///
/// Patterns are compiled when they are added; matching allocates nothing. Copies share their routes, so copying is
/// cheap. All is to be added before the router is used.
template <class Context = void>
class Router {
    using ContextOrNone = std::conditional_t<std::is_void_v<Context>, detail::NoContext, Context>;

public:
    template <class H>
    Router& get(std::string_view pattern, H handler) {
        return route(Method::get, pattern, std::move(handler));
    }
    template <class H>
    Router& head(std::string_view pattern, H handler) {
        return route(Method::head, pattern, std::move(handler));
    }
    template <class H>
    Router& post(std::string_view pattern, H handler) {
        return route(Method::post, pattern, std::move(handler));
    }
    template <class H>
    Router& put(std::string_view pattern, H handler) {
        return route(Method::put, pattern, std::move(handler));
    }
    template <class H>
    Router& patch(std::string_view pattern, H handler) {
        return route(Method::patch, pattern, std::move(handler));
    }
    template <class H>
    Router& del(std::string_view pattern, H handler) {
        return route(Method::del, pattern, std::move(handler));
    }

    /// For every method that has no route of its own on that path.
    template <class H>
    Router& any(std::string_view pattern, H handler) {
        return add(detail::RouteTable::any_method, pattern, std::move(handler));
    }

    /// Throws std::invalid_argument for a pattern that makes no sense, or whose method and path have a route already.
    template <class H>
    Router& route(Method method, std::string_view pattern, H handler) {
        return add(static_cast<std::size_t>(method), pattern, std::move(handler));
    }

    /// Runs `middleware` around everything below `prefix`, which is made of whole segments, `:name` for any one. It can
    /// read the route's parameters, and is called also where there is no route. Several are called in the order added.
    template <class M>
    Router& use(std::string_view prefix, M middleware);
    template <class M>
    Router& use(M middleware) {
        return use("", std::move(middleware));
    }

    /// Copies what `other` has by now to below `prefix`: its routes, its middleware, and its handlers of unknown paths
    /// and errors. `other` is of the same Context, or of none. Throws as route().
    template <class Other>
    Router& mount(std::string_view prefix, const Router<Other>& other);

    /// Answers paths that have no route, in place of 404. Below a mounted router's prefix its own one answers.
    template <class H>
    Router& not_found(H handler);

    /// Answers what handlers and middleware threw, http::Error included, but never a cancellation; and as http::Error
    /// what the router itself refuses: 405, and 404 where no not_found() answers.
    /// `Task<Response>(Context&, const Request&, std::exception_ptr)`, or without Context. What it throws, or all when
    /// there is none, goes to the error handler of the router in which this one is mounted, and then to the server.
    template <class H>
    Router& on_error(H handler);

    /// The router is a handler itself.
    Task<Response> operator()(ContextOrNone& context, const Request& request) const
        requires(!std::is_void_v<Context>)
    {
        return routes_->answer(erased(context), request);
    }
    Task<Response> operator()(const Request& request) const
        requires std::is_void_v<Context>
    {
        return routes_->answer(nullptr, request);
    }

private:
    template <class Other>
    friend class Router;

    template <class F, class... More>
    static constexpr bool takes_context =
        !std::is_void_v<Context> && std::is_invocable_r_v<Task<Response>, F&, ContextOrNone&, const Request&, More...>;

    static void* erased(ContextOrNone& context) noexcept {
        return const_cast<void*>(static_cast<const volatile void*>(std::addressof(context)));
    }

    /// Wraps a function that takes the context or not as one that is called with a pointer to it.
    template <class F, class... More>
    static auto with_context(F function) {
        return [function = std::move(function)](void* context, const Request& request, More... more) mutable {
            if constexpr (takes_context<F, More...>)
                return function(*static_cast<ContextOrNone*>(context), request, std::move(more)...);
            else
                return function(request, std::move(more)...);
        };
    }

    template <class H>
    static auto checked_handler(H handler) {
        constexpr bool fits = Handler<H> || takes_context<H>;
        static_assert(fits, "http::Router: a handler is callable as Task<Response>(Context&, const Request&) or "
                            "Task<Response>(const Request&), where Context is the router's template argument. "
                            "Does it return Task<http::Response>, and take the request by const reference?");
        if constexpr (fits) return with_context(std::move(handler));
    }

    template <class H>
    Router& add(std::size_t method, std::string_view pattern, H handler) {
        routes_->add(method, pattern, checked_handler(std::move(handler)));
        return *this;
    }

    std::shared_ptr<detail::Routes> routes_ = detail::Routes::make();
};

template <class Context>
template <class M>
Router<Context>& Router<Context>::use(std::string_view prefix, M middleware) {
    constexpr bool fits = Middleware<M> || takes_context<M, Next>;
    static_assert(fits, "http::Router: a middleware is callable as Task<Response>(Context&, const Request&, Next) or "
                        "Task<Response>(const Request&, Next), where Context is the router's template argument. "
                        "Does it return Task<http::Response>, and take http::Next last?");
    if constexpr (fits) routes_->use(prefix, with_context<M, Next>(std::move(middleware)));
    return *this;
}

template <class Context>
template <class Other>
Router<Context>& Router<Context>::mount(std::string_view prefix, const Router<Other>& other) {
    constexpr bool fits = std::is_void_v<Other> || std::is_same_v<Other, Context>;
    static_assert(fits, "http::Router: a router that is mounted has the same Context, or none (http::Router<>)");
    if constexpr (fits) routes_->mount(prefix, *other.routes_);
    return *this;
}

template <class Context>
template <class H>
Router<Context>& Router<Context>::not_found(H handler) {
    routes_->not_found(checked_handler(std::move(handler)));
    return *this;
}

template <class Context>
template <class H>
Router<Context>& Router<Context>::on_error(H handler) {
    constexpr bool fits = ErrorHandler<H> || takes_context<H, std::exception_ptr>;
    static_assert(fits, "http::Router: an error handler is callable as Task<Response>(Context&, const Request&, "
                        "std::exception_ptr) or Task<Response>(const Request&, std::exception_ptr), where Context is "
                        "the router's template argument. Does it return Task<http::Response>?");
    if constexpr (fits) routes_->on_error(with_context<H, std::exception_ptr>(std::move(handler)));
    return *this;
}

} // namespace cohort::http

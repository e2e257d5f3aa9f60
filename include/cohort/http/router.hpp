// SPDX-License-Identifier: MIT
// Router: which handler answers which method and path (layer 1).
#pragma once

#include <cohort/http/detail/route_table.hpp>
#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/task.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

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
/// Allow.
///
///     http::Router<App::Worker> router;
///     router.get("/hello/:name?", hello);
///     co_await http::serve(self, listener, router);
///
/// Patterns are compiled when they are added; matching allocates nothing. Copies share their routes, so copying is
/// cheap.
template <class Context = void>
class Router {
    struct Nothing {};
    using ContextOrNothing = std::conditional_t<std::is_void_v<Context>, Nothing, Context>;

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

    /// The router is a handler itself.
    Task<Response> operator()(ContextOrNothing& context, const Request& request) const
        requires(!std::is_void_v<Context>)
    {
        return answer(context, request);
    }
    Task<Response> operator()(const Request& request) const
        requires std::is_void_v<Context>
    {
        Nothing nothing;
        return answer(nothing, request);
    }

private:
    using Function = std::function<Task<Response>(ContextOrNothing&, const Request&)>;

    template <class H>
    Router& add(std::size_t method, std::string_view pattern, H handler) {
        constexpr bool fits = std::is_void_v<Context> ? Handler<H> : HandlerFor<H, ContextOrNothing>;
        static_assert(fits, "http::Router: a handler is callable as Task<Response>(Context&, const Request&) or "
                            "Task<Response>(const Request&), where Context is the router's template argument. "
                            "Does it return Task<http::Response>, and take the request by const reference?");
        // Kept first: a pattern that is refused must not leave its number to the next handler.
        if constexpr (fits) keep(std::move(handler));
        routes_->table.add(method, pattern, routes_->handlers.size() - 1);
        return *this;
    }

    template <class H>
    void keep(H handler) {
        if constexpr (std::is_invocable_r_v<Task<Response>, H&, ContextOrNothing&, const Request&>)
            routes_->handlers.push_back(std::move(handler));
        else
            routes_->handlers.push_back(
                [handler = std::move(handler)](ContextOrNothing&, const Request& request) mutable {
                    return handler(request);
                });
    }

    Task<Response> answer(ContextOrNothing& context, const Request& request) const {
        const auto match = routes_->table.find(request);
        if (match.route != detail::RouteTable::none) return routes_->handlers[match.route](context, request);
        return refuse(match.allowed);
    }

    static Task<Response> refuse(std::uint64_t allowed) {
        if (allowed == 0) co_return http::status(404);
        std::string list;
        for (std::size_t method = 0; method != detail::method_names.size(); ++method)
            if ((allowed >> method & 1) != 0)
                list.append(list.empty() ? "" : ", ").append(detail::method_names[method]);
        Response response = http::status(405);
        response.add("Allow", list);
        co_return response;
    }

    struct Routes {
        detail::RouteTable table;
        std::vector<Function> handlers;
    };
    std::shared_ptr<Routes> routes_ = std::make_shared<Routes>();
};

} // namespace cohort::http

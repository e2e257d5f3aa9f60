// SPDX-License-Identifier: MIT
// What is behind a router: its routes, its middleware and who answers when there is no route (layer 1).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/route/pattern.hpp>
#include <cohort/http/detail/route/route_table.hpp>
#include <cohort/http/middleware.hpp>
#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/task.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cohort::http::detail {

/// Filled before the first request, then only read. The context is type-erased, so that all routers share this one
/// class: the functions they add know its type, or take none.
class Routes {
public:
    using Answer = std::function<Task<Response>(void* context, const Request&)>;
    using Layer = std::function<Task<Response>(void* context, const Request&, Next)>;
    using Rescue = std::function<Task<Response>(void* context, const Request&, std::exception_ptr)>;

    static std::shared_ptr<Routes> make();

    void add(std::size_t method, std::string_view pattern, Answer answer);
    void use(std::string_view prefix, Layer layer);
    void not_found(Answer answer);
    void on_error(Rescue rescue);

    /// Takes over what `other` has, below the prefix.
    void mount(std::string_view prefix, const Routes& other);

    Task<Response> answer(void* context, const Request& request) const;

private:
    struct Pattern {
        std::size_t method;
        std::string text;
    };
    template <class Function>
    struct Below {
        PathPrefix prefix;
        Function function;
    };
    class Way;

    Task<Response> answer_inside(void* context, const Request& request, const RouteTable::Match& match) const;
    Task<Response> refuse(void* context, const Request& request, std::uint64_t allowed) const;
    bool explains(const Request& request) const noexcept;
    void set_missing(Below<Answer> missing);
    std::uint64_t all_methods() const noexcept;

    COHORT_LAZY static Task<Response> answer_through(const Routes& routes, void* context, const Request& request,
                                                     RouteTable::Match match);
    COHORT_LAZY static Task<Response> rescue(const Rescue& handler, void* context, const Request& request, Next next);
    COHORT_LAZY static Task<Response> explain(const Routes& routes, void* context, const Request& request, int status,
                                              std::uint64_t allowed);
    COHORT_LAZY static Task<Response> answer_methods(int status, std::uint64_t allowed);

    RouteTable table_;
    std::vector<Answer> answers_; ///< by the number of the route
    std::vector<Pattern> patterns_;
    std::vector<Below<Layer>> layers_;
    std::vector<Below<Answer>> missing_;  ///< the more specific come first
    std::vector<Below<Rescue>> rescuers_; ///< those of on_error, the outer ones first; each has a layer, too
    bool rescues_ = false;                ///< the first layer, and the first of rescuers_, are this router's own
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/route/routes.ipp>
#endif

// SPDX-License-Identifier: MIT
// Patterns to route numbers: the tree behind http::Router (layer 1).
#pragma once

#include <cohort/http/request.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cohort::http::detail {

/// A tree of path segments. It is built when a route is added and only read afterwards, without allocating: what a
/// pattern captures are views into the path and into the pattern.
class RouteTable {
public:
    static constexpr std::size_t any_method = method_names.size();
    static constexpr std::size_t none = SIZE_MAX;

    struct Match {
        std::size_t route = none;
        std::uint64_t allowed = 0; ///< a bit for each Method that the path has a route for, when `route` is none
    };

    /// Adds route number `route`. Throws std::invalid_argument for a pattern that makes no sense or exists already.
    void add(std::size_t method, std::string_view pattern, std::size_t route);

    /// The best route for the request, whose parameters are filled in.
    Match find(const Request& request) const;

private:
    struct Route {
        std::size_t number = none;
        std::vector<std::string> names;
    };

    struct Node {
        struct Child {
            std::string text;
            std::unique_ptr<Node> node;
        };
        std::vector<Child> children;
        std::unique_ptr<Node> parameter;
        std::unique_ptr<Node> wildcard;
        std::array<std::size_t, any_method + 1> routes = make_routes();

        static constexpr std::array<std::size_t, any_method + 1> make_routes() {
            std::array<std::size_t, any_method + 1> routes{};
            routes.fill(none);
            return routes;
        }
    };

    struct Search {
        std::size_t method;
        std::vector<RouteParameters::Parameter>& captured;
        std::uint64_t allowed = 0;
    };

    void add_from(Node& node, std::size_t method, std::string_view rest, std::string_view pattern, Route route);
    void end_at(Node& node, std::size_t method, std::string_view pattern, Route route);
    std::size_t match(const Node& node, std::string_view path, Search& search) const;
    std::size_t match_captured(const Node& node, std::string_view value, std::string_view rest, Search& search) const;
    std::size_t route_at(const Node& node, Search& search) const;

    Node root_;
    std::vector<Route> routes_;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/route/route_table.ipp>
#endif

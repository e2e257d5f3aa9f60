// SPDX-License-Identifier: MIT
// The bodies of route_table.hpp (layer 1).
#pragma once

#include <cohort/http/detail/route/route_table.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/detail/route/pattern.hpp>

#include <algorithm>

namespace cohort::http::detail {

COHORT_DECL void RouteTable::add(std::size_t method, std::string_view pattern, std::size_t route) {
    if (!pattern.starts_with('/')) refuse_pattern(pattern, "must begin with /");
    add_from(root_, method, pattern.substr(1), pattern, Route{route, {}});
}

COHORT_DECL void RouteTable::add_from(Node& node, std::size_t method, std::string_view rest, std::string_view pattern,
                                      Route route) {
    if (rest.empty()) return end_at(node, method, pattern, std::move(route));
    const bool last = rest.find('/') == std::string_view::npos;
    std::string_view segment = take_until(rest, '/');
    if (segment.empty()) refuse_pattern(pattern, "an empty segment (//)");
    if (segment[0] == '*') {
        if (!last) refuse_pattern(pattern, "a wildcard (*rest) must come last");
        route.names.push_back(parameter_name(segment.substr(1), pattern, route.names));
        if (!node.wildcard) node.wildcard = std::make_unique<Node>();
        return end_at(*node.wildcard, method, pattern, std::move(route));
    }
    if (segment[0] == ':') {
        if (segment.ends_with('?')) {
            if (!rest.empty()) refuse_pattern(pattern, "an optional parameter (:name?) must come last");
            segment.remove_suffix(1);
            end_at(node, method, pattern, route);
        }
        route.names.push_back(parameter_name(segment.substr(1), pattern, route.names));
        if (!node.parameter) node.parameter = std::make_unique<Node>();
        return add_from(*node.parameter, method, rest, pattern, std::move(route));
    }
    const std::string text = plain_segment(segment, pattern);
    for (Node::Child& child : node.children)
        if (child.text == text) return add_from(*child.node, method, rest, pattern, std::move(route));
    node.children.push_back({text, std::make_unique<Node>()});
    add_from(*node.children.back().node, method, rest, pattern, std::move(route));
}

COHORT_DECL void RouteTable::end_at(Node& node, std::size_t method, std::string_view pattern, Route route) {
    if (node.routes[method] != none) refuse_pattern(pattern, "there is a route for this method and path already");
    node.routes[method] = routes_.size();
    routes_.push_back(std::move(route));
}

COHORT_DECL RouteTable::Match RouteTable::find(const Request& request) const {
    auto& captured = request.parameters_.list;
    captured.clear();
    Search search{static_cast<std::size_t>(request.method()), captured, 0};
    std::string_view path = request.path();
    if (!path.starts_with('/')) return {};
    if (path.ends_with('/')) path.remove_suffix(1);
    const std::size_t found = match(root_, path, search);
    if (found == none) return {none, search.allowed};
    const Route& route = routes_[found];
    for (std::size_t i = 0; i != captured.size(); ++i) captured[i].name = route.names[i];
    return {route.number, 0};
}

/// Static text first, then a parameter, then a wildcard, with backtracking. `path` is what is left of it: empty, or
/// beginning with the slash before the next segment.
COHORT_DECL std::size_t RouteTable::match(const Node& node, std::string_view path, Search& search) const {
    std::size_t found = none;
    if (path.empty()) {
        found = route_at(node, search);
    } else {
        const std::size_t end = std::min(path.find('/', 1), path.size());
        const std::string_view segment = path.substr(1, end - 1);
        const std::string_view rest = path.substr(end);
        for (const Node::Child& child : node.children) {
            if (!decodes_to(segment, child.text)) continue;
            found = match(*child.node, rest, search);
            break;
        }
        if (found == none && node.parameter && !segment.empty())
            found = match_captured(*node.parameter, segment, rest, search);
    }
    if (found == none && node.wildcard)
        found = match_captured(*node.wildcard, path.substr(path.empty() ? 0 : 1), {}, search);
    return found;
}

COHORT_DECL std::size_t RouteTable::match_captured(const Node& node, std::string_view value, std::string_view rest,
                                                   Search& search) const {
    search.captured.push_back({{}, value});
    const std::size_t found = match(node, rest, search);
    if (found == none) search.captured.pop_back();
    return found;
}

/// The route of this method; that of GET serves HEAD as well, and one for any method serves what has none of its own.
COHORT_DECL std::size_t RouteTable::route_at(const Node& node, Search& search) const {
    constexpr auto get = static_cast<std::size_t>(Method::get);
    constexpr auto head = static_cast<std::size_t>(Method::head);
    if (node.routes[search.method] != none) return node.routes[search.method];
    if (search.method == head && node.routes[get] != none) return node.routes[get];
    if (node.routes[any_method] != none) return node.routes[any_method];
    for (std::size_t method = 0; method != any_method; ++method)
        if (node.routes[method] != none) search.allowed |= std::uint64_t{1} << method;
    if (node.routes[get] != none) search.allowed |= std::uint64_t{1} << head;
    return none;
}

} // namespace cohort::http::detail

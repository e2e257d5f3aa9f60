// SPDX-License-Identifier: MIT
// The bodies of routes.hpp (layer 1).
#pragma once

#include <cohort/http/detail/route/routes.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/http/detail/respond/error_fields.hpp>
#include <cohort/http/method.hpp>

#include <asio/error.hpp>

#include <system_error>
#include <utility>

namespace cohort::http::detail {

COHORT_DECL std::shared_ptr<Routes> Routes::make() { return cohort::detail::share<Routes>(); }

COHORT_DECL void Routes::add(std::size_t method, std::string_view pattern, Answer answer) {
    // Stored first: a refused pattern may be in the table in part, so its number must not be reused.
    answers_.push_back(std::move(answer));
    patterns_.push_back({method, std::string{pattern}});
    table_.add(method, pattern, answers_.size() - 1);
}

/// For Allow; OPTIONS is always answered.
COHORT_DECL std::string list_methods(std::uint64_t allowed) {
    allowed |= std::uint64_t{1} << static_cast<unsigned>(Method::options);
    std::string list;
    for (std::size_t method = 0; method != method_names.size(); ++method)
        if ((allowed >> method & 1) != 0) list.append(list.empty() ? "" : ", ").append(method_names[method]);
    return list;
}

COHORT_DECL void Routes::use(std::string_view prefix, Layer layer) {
    layers_.push_back({PathPrefix(prefix), std::move(layer)});
}

COHORT_DECL void Routes::not_found(Answer answer) { set_missing({PathPrefix(), std::move(answer)}); }

COHORT_DECL Task<Response> Routes::answer(void* context, const Request& request) const {
    const RouteTable::Match match = table_.find(request);
    if (!layers_.empty()) return answer_through(*this, context, request, match);
    return answer_inside(context, request, match);
}

/// The middleware of one request: all that cover its path, in their order.
class Routes::Way final : public Chain {
public:
    Way(const Routes& routes, void* context, const Request& request, RouteTable::Match match)
        : routes_(routes), context_(context), request_(request), match_(match) {}

    Task<Response> go_on(std::size_t index) override {
        const auto& layers = routes_.layers_;
        while (index != layers.size() && !layers[index].prefix.covers(request_.path())) ++index;
        if (index == layers.size()) return routes_.answer_inside(context_, request_, match_);
        return layers[index].function(context_, request_, Next(*this, index + 1));
    }

private:
    const Routes& routes_;
    void* context_;
    const Request& request_;
    RouteTable::Match match_;
};

COHORT_LAZY COHORT_DECL Task<Response> Routes::answer_through(const Routes& routes, void* context,
                                                              const Request& request, RouteTable::Match match) {
    Way way(routes, context, request, match);
    Task<Response> answering = way.go_on(0);
    Response response = co_await std::move(answering);
    co_return response;
}

COHORT_DECL Task<Response> Routes::answer_inside(void* context, const Request& request,
                                                 const RouteTable::Match& match) const {
    if (match.route != RouteTable::none) return answers_[match.route](context, request);
    return refuse(context, request, match.allowed);
}

/// There is no route for the method, or none for the path. Middleware sees the answer as it sees that of a handler.
COHORT_DECL Task<Response> Routes::refuse(void* context, const Request& request, std::uint64_t allowed) const {
    const bool asks = request.method() == Method::options;
    if (asks && request.path() == "*") return answer_methods(204, all_methods());
    if (allowed != 0 && asks) return answer_methods(204, allowed);
    if (allowed == 0)
        for (const auto& missing : missing_)
            if (missing.prefix.covers(request.path())) return missing.function(context, request);
    const int status = allowed != 0 ? 405 : 404;
    if (explains(request)) return explain(*this, context, request, status, allowed);
    return answer_methods(status, allowed);
}

COHORT_DECL bool Routes::explains(const Request& request) const noexcept {
    for (const auto& rescuer : rescuers_)
        if (rescuer.prefix.covers(request.path())) return true;
    return false;
}

/// As the server would answer it.
COHORT_DECL Response answer_to(const std::exception_ptr& refusal) {
    try {
        std::rethrow_exception(refusal);
    } catch (const Error& error) {
        Response response = http::status(error.status());
        add_error_fields(response, error);
        return response;
    }
}

/// Asks the error handlers, as if a handler had thrown that status, the innermost first. One that passes it on leaves
/// it to the next one; when all do, the answer is the same as without any.
COHORT_LAZY COHORT_DECL Task<Response> Routes::explain(const Routes& routes, void* context, const Request& request,
                                                       int status, std::uint64_t allowed) {
    Error error(status);
    if (allowed != 0) error.with("Allow", list_methods(allowed));
    std::exception_ptr refusal = std::make_exception_ptr(error);
    for (std::size_t i = routes.rescuers_.size(); i-- != 0;) {
        const auto& rescuer = routes.rescuers_[i];
        if (!rescuer.prefix.covers(request.path())) continue;
        try {
            Task<Response> handling = rescuer.function(context, request, refusal);
            Response response = co_await std::move(handling);
            add_error_fields(response, refusal);
            co_return response;
        } catch (const Error&) {
            refusal = std::current_exception();
        }
    }
    co_return answer_to(refusal);
}

COHORT_LAZY COHORT_DECL Task<Response> Routes::answer_methods(int status, std::uint64_t allowed) {
    Response response = http::status(status);
    if (status != 404) response.add("Allow", list_methods(allowed));
    co_return response;
}

COHORT_DECL std::uint64_t Routes::all_methods() const noexcept {
    constexpr auto bit = [](Method method) { return std::uint64_t{1} << static_cast<unsigned>(method); };
    std::uint64_t all = 0;
    for (const Pattern& pattern : patterns_) {
        if (pattern.method == RouteTable::any_method)
            all |= ((std::uint64_t{1} << method_names.size()) - 1) & ~bit(Method::connect);
        else
            all |= std::uint64_t{1} << pattern.method;
    }
    return (all & bit(Method::get)) != 0 ? all | bit(Method::head) : all;
}

COHORT_DECL void Routes::set_missing(Below<Answer> missing) {
    auto at = missing_.begin();
    while (at != missing_.end() && at->prefix.says_more_than(missing.prefix)) ++at;
    if (at != missing_.end() && at->prefix == missing.prefix)
        *at = std::move(missing);
    else
        missing_.insert(at, std::move(missing));
}

/// It is the outermost layer, so that it catches what its router's other layers throw.
COHORT_DECL void Routes::on_error(Rescue handler) {
    Below<Rescue> rescuer{PathPrefix(), handler};
    Below<Layer> layer{PathPrefix(), [handler = std::move(handler)](void* context, const Request& request, Next next) {
                           return rescue(handler, context, request, next);
                       }};
    if (rescues_) {
        layers_.front() = std::move(layer);
        rescuers_.front() = std::move(rescuer);
    } else {
        layers_.insert(layers_.begin(), std::move(layer));
        rescuers_.insert(rescuers_.begin(), std::move(rescuer));
    }
    rescues_ = true;
}

COHORT_LAZY COHORT_DECL Task<Response> Routes::rescue(const Rescue& handler, void* context, const Request& request,
                                                      Next next) {
    std::exception_ptr failure;
    try {
        Task<Response> inside = next();
        Response response = co_await std::move(inside);
        co_return response;
    } catch (const std::system_error& error) {
        // The server wants this request to end, not to be answered.
        if (error.code() == asio::error::operation_aborted) throw;
        failure = std::current_exception();
    } catch (...) {
        failure = std::current_exception();
    }
    Task<Response> handling = handler(context, request, failure);
    Response response = co_await std::move(handling);
    add_error_fields(response, failure);
    co_return response;
}

COHORT_DECL void Routes::mount(std::string_view prefix, const Routes& other) {
    const PathPrefix above(prefix);
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    // Copied, since a router may be mounted in itself.
    const auto answers = other.answers_;
    const auto patterns = other.patterns_;
    const auto layers = other.layers_;
    const auto missing = other.missing_;
    const auto rescuers = other.rescuers_;
    for (std::size_t i = 0; i != answers.size(); ++i)
        add(patterns[i].method, std::string{prefix} + patterns[i].text, answers[i]);
    for (const auto& rescuer : rescuers) rescuers_.push_back({above.then(rescuer.prefix), rescuer.function});
    for (const auto& layer : layers) layers_.push_back({above.then(layer.prefix), layer.function});
    for (const auto& answer : missing) set_missing({above.then(answer.prefix), answer.function});
}

} // namespace cohort::http::detail

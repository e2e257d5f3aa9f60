// SPDX-License-Identifier: MIT
// An acceptor of whatever type, as the server sees it (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/http/detail/serve/stream_layer.hpp>
#include <cohort/task.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace cohort::http::detail {

/// An acceptor that says whether anything more will come, without accepting.
template <class A>
concept TellsStopping = Acceptor<A> && requires(A& acceptor) {
    { acceptor.stopping() } -> std::same_as<bool>;
};

/// An acceptor that says for how long connections that cannot be handed over may be kept (see Listener::patience).
template <class A>
concept TellsPatience = Acceptor<A> && requires(A& acceptor) {
    { acceptor.patience() } -> std::same_as<std::chrono::milliseconds>;
};

/// Type-erased, so that the server is compiled once. What an acceptor does not offer is false or null here.
class AnyAcceptor {
public:
    AnyAcceptor() = default;
    AnyAcceptor(const AnyAcceptor&) = delete;
    AnyAcceptor& operator=(const AnyAcceptor&) = delete;
    virtual ~AnyAcceptor() = default;

    virtual Task<std::optional<Socket>> accept() = 0;
    virtual bool stopping() = 0;
    virtual std::chrono::milliseconds patience() = 0;

    /// Whether the remaining connections may go to another server, between two requests.
    virtual bool hands_over() = 0;
    virtual bool hand_over(Socket& socket, std::string state) = 0;

    /// Whether every connection has a layer, and the one for this socket; null when there are none.
    virtual bool has_layers() const noexcept = 0;
    virtual std::unique_ptr<StreamLayer> make_layer(Socket& socket) = 0;
};

/// Refers to the acceptor, which outlives it.
template <Acceptor A>
class AcceptorAdapter final : public AnyAcceptor {
public:
    explicit AcceptorAdapter(A& acceptor) noexcept : acceptor_(acceptor) {}

    Task<std::optional<Socket>> accept() override { return acceptor_.accept(); }

    bool stopping() override {
        if constexpr (TellsStopping<A>)
            return acceptor_.stopping();
        else
            return false;
    }

    std::chrono::milliseconds patience() override {
        if constexpr (TellsPatience<A>)
            return acceptor_.patience();
        else
            return {};
    }

    bool hands_over() override {
        if constexpr (HandsOver<A>)
            return acceptor_.hands_over();
        else
            return false;
    }

    bool hand_over([[maybe_unused]] Socket& socket, [[maybe_unused]] std::string state) override {
        if constexpr (HandsOver<A>)
            return acceptor_.hand_over(socket, std::move(state));
        else
            return false;
    }

    bool has_layers() const noexcept override { return Layers<A>; }

    std::unique_ptr<StreamLayer> make_layer([[maybe_unused]] Socket& socket) override {
        if constexpr (Layers<A>)
            return acceptor_.make_layer(socket);
        else
            return nullptr;
    }

private:
    A& acceptor_;
};

} // namespace cohort::http::detail

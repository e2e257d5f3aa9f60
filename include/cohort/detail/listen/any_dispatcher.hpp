// SPDX-License-Identifier: MIT
// AnyDispatcher: a mode's dispatcher without its type, so that the master need not be compiled for each mode (layer 3).
#pragma once

#include <cohort/mode.hpp>

#include <memory>
#include <vector>

namespace cohort::detail {

/// The calls are those of the concept DispatcherOf.
class AnyDispatcher {
public:
    virtual ~AnyDispatcher() = default;
    virtual void prepare() = 0;
    virtual std::vector<int> inherited(unsigned slot) = 0;
    virtual Grant open(DispatchTarget& target, const Endpoint& endpoint) = 0;
    virtual void close(DispatchTarget& target, ListenerId listener) = 0;
    virtual void give(const Endpoint& endpoint, TransferredConnection connection) = 0;
    virtual std::size_t waiting() = 0;
    virtual void lost(DispatchTarget& target, ListenerId listener, std::uint64_t first, std::uint32_t count) = 0;
    virtual void took(DispatchTarget& target, ListenerId listener) = 0;
    virtual void drain(DispatchTarget& target) = 0;
    virtual void leave(DispatchTarget& target, bool successor) = 0;
    virtual std::vector<QueueStats> queues() = 0;
    virtual std::vector<OpenListener> listeners() = 0;
    virtual void stop(bool goes_on) = 0;
};

/// The one behind which D works.
template <DispatcherOf D>
class ErasedDispatcher final : public AnyDispatcher {
public:
    explicit ErasedDispatcher(DispatchContext context) : dispatcher_(context) {}

    void prepare() override { dispatcher_.prepare(); }
    std::vector<int> inherited(unsigned slot) override { return dispatcher_.inherited(slot); }
    Grant open(DispatchTarget& target, const Endpoint& endpoint) override { return dispatcher_.open(target, endpoint); }
    void close(DispatchTarget& target, ListenerId listener) override { dispatcher_.close(target, listener); }
    void give(const Endpoint& endpoint, TransferredConnection connection) override {
        dispatcher_.give(endpoint, std::move(connection));
    }
    std::size_t waiting() override { return dispatcher_.waiting(); }
    void lost(DispatchTarget& target, ListenerId listener, std::uint64_t first, std::uint32_t count) override {
        dispatcher_.lost(target, listener, first, count);
    }
    void took(DispatchTarget& target, ListenerId listener) override { dispatcher_.took(target, listener); }
    void drain(DispatchTarget& target) override { dispatcher_.drain(target); }
    void leave(DispatchTarget& target, bool successor) override { dispatcher_.leave(target, successor); }
    std::vector<QueueStats> queues() override { return dispatcher_.queues(); }
    std::vector<OpenListener> listeners() override { return dispatcher_.listeners(); }
    void stop(bool goes_on) override { dispatcher_.stop(goes_on); }

private:
    D dispatcher_;
};

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// ControlSocket: serves those who steer a master from outside (layer 4).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/channel_acceptor.hpp>
#include <cohort/control/messages.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/supervise/control_plane.hpp>
#include <cohort/options.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <string>

namespace cohort::detail {

/// One who is connected.
struct ControlClient {
    using Channel = cohort::Channel<Duplex<control::Response, control::Request>>;

    ControlClient(const asio::any_io_executor& executor, UniqueFd connection);
    void give_up() { channel.close(); }
    /// It waits for an answer, or may ask for the next thing: so soon somebody does who follows what happens.
    static constexpr std::chrono::milliseconds until_it_asks{100};
    bool is_busy() const {
        return channel.is_open() && (calls != 0 || std::chrono::steady_clock::now() - silent_since < until_it_asks);
    }

    Channel channel;
    Timer patience; // until it asks for something
    unsigned calls = 0;
    std::chrono::steady_clock::time_point silent_since = std::chrono::steady_clock::now();
};

/// Knows the kernel's word about who connects, how many there may be, and the actions by their names; what they do is
/// not its concern. Shared with the coroutines that serve the clients.
class ControlSocket final : public ControlPlane, public std::enable_shared_from_this<ControlSocket> {
public:
    /// Throws what ChannelAcceptor does, and EPERM: others may replace the file.
    ControlSocket(const asio::any_io_executor& executor, const ControlOptions& options, UniqueFd inherited);
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

    COHORT_DECL void add(std::string name, ControlAction action) override;
    COHORT_DECL void begin() override;
    COHORT_DECL int listener() const noexcept override;
    COHORT_DECL void pass_on() noexcept override;
    COHORT_DECL void finish() override;
    COHORT_DECL void close() noexcept override;

private:
    using ClientPtr = std::shared_ptr<ControlClient>;

    static Task<> accept(std::shared_ptr<ControlSocket> self);
    static Task<> serve(std::shared_ptr<ControlSocket> self, ClientPtr client);
    static Task<control::Response> answer(std::shared_ptr<ControlSocket> self, ClientPtr client,
                                          control::Request request);
    static Task<> wind_up(std::shared_ptr<ControlSocket> self, ClientPtr client);
    Task<std::vector<std::byte>> carry_out(control::Request& request) const;
    bool may_use(uid_t user) const noexcept;
    static bool goes_before(const ClientPtr& one, const ClientPtr& other) noexcept;
    void make_room();
    void try_to_admit(UniqueFd connection);
    void admit(UniqueFd connection);

    asio::any_io_executor executor_;
    ControlOptions options_;
    std::shared_ptr<OwnListener> listener_;
    std::map<std::string, ControlAction> actions_;
    std::list<ClientPtr> clients_;
    bool accepts_ = false;
    bool finished_ = false;
    bool refused_somebody_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control_socket/control_socket.ipp>
#endif

// SPDX-License-Identifier: MIT
// WorkerCore: a worker's side of the control link, listeners and leaving, whatever its messages are (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/channel/message_stream.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control/connection_count.hpp>
#include <cohort/detail/control/links.hpp>
#include <cohort/detail/listen/departure.hpp>
#include <cohort/detail/listen/exclusive_intake.hpp>
#include <cohort/detail/worker/datagram_client.hpp>
#include <cohort/detail/worker/heartbeat.hpp>
#include <cohort/detail/worker/identity.hpp>
#include <cohort/detail/worker/leadership_client.hpp>
#include <cohort/detail/worker/peer_client.hpp>
#include <cohort/detail/worker/pending_requests.hpp>
#include <cohort/listener.hpp>
#include <cohort/mode.hpp>

#include <asio/io_context.hpp>

#include <functional>
#include <map>
#include <memory>

namespace cohort::detail {

struct WorkerSetup;

/// The worker's half of a mode.
using MakeIntake = std::shared_ptr<Intake> (*)(IntakeContext);

/// Lives as long as the worker process.
class WorkerCore {
public:
    /// `outgoing`, `incoming`: of the messages to and from the master.
    WorkerCore(const WorkerSetup& setup, const Options& options, Schema outgoing, Schema incoming,
               MakeIntake make_intake, std::vector<std::string> args);

    const std::vector<std::string>& args() const noexcept { return args_; }
    /// The channel to the master.
    const std::shared_ptr<MessageStream>& messages() const noexcept { return messages_; }

    Task<Listener> listen(Endpoint endpoint);
    COHORT_LAZY Task<Listener> listen_alone(Endpoint endpoint);
    Task<DatagramSocket> bind(Endpoint endpoint);
    Task<Leadership> leader(std::string role) { return leadership_.lead(std::move(role)); }
    Task<UniqueFd> introduce(WorkerId other) { return peers_.introduce(other); }
    Task<UniqueFd> connect_bus() { return peers_.connect_bus(); }
    Task<std::optional<AcceptedPeer>> next_peer() { return peers_.next_peer(); }
    void announce_ready() { link_->send(Ready{}); }
    /// The master answers with Stop.
    void leave();
    /// The same for a worker that is to have a successor, which the master starts first.
    void leave_when_replaced();
    bool stopping() const noexcept { return stopping_; }
    bool connected() const noexcept { return !link_->ended(); }
    COHORT_LAZY Task<> until_stopping();
    const Identity& identity() const noexcept { return identity_; }
    ConnectionCount& connection_count() noexcept { return connections_; }
    asio::io_context& context() noexcept { return context_; }
    SharedPage& page() noexcept { return page_; }

    void at_exit(std::function<void()> action) { exit_actions_.push_back(std::move(action)); }
    /// Does what is to be done at the end, the last first. Holds the process up until what was sent is the kernel's,
    /// for at most the grace period.
    void finish() noexcept;
    [[noreturn]] void exit(int code);
    /// To the master; -1: closed.
    std::pair<int, int> links() const noexcept { return {link_->native_handle(), messages_->native_handle()}; }

private:
    struct Answer {
        Listening listening;
        std::optional<Listener> listener; // made when the answer arrives: connections may be right behind it
    };

    Task<> control();
    void handle_packet(Packet& packet);
    void handle(Stop& message, Packet&) { stop(message.hand_over); }
    void handle(Listening& message, Packet& packet);
    void handle(Connections& message, Packet& packet);
    void handle(Forgotten& message, Packet& packet);
    void handle(PeerSocket& message, Packet& packet) { peers_.answer(message, packet); }
    void handle(IncomingPeer& message, Packet& packet) { peers_.receive(message, packet); }
    void handle(Bound& message, Packet& packet) { datagrams_.answer(context_.get_executor(), message, packet); }
    void handle(Elected& message, Packet&) { leadership_.answer(message); }
    void handle(PartOfWorker& message, Packet& packet);
    template <class Do>
    void for_each_intake(Do action) {
        for (const auto& [id, intake] : intakes_) action(*intake);
        for (const auto& own : own_intakes_)
            if (const auto intake = own.lock()) action(*intake);
    }
    void stop(bool hand_over);
    void look_again();
    void look_at_intakes();
    void master_gone();
    void give_up();
    static Task<> say_farewell(std::shared_ptr<WorkerLink> link, ListenerId listener);
    Listener make_listener(const Listening& listening, UniqueFd descriptor);

    asio::io_context& context_;
    SharedPage& page_;
    ConnectionCount connections_;
    Heartbeat heartbeat_;
    Identity identity_;
    std::chrono::milliseconds grace_;
    int backlog_;
    MakeIntake make_intake_;
    std::shared_ptr<MessageStream> messages_;
    std::shared_ptr<WorkerLink> link_;
    Notifier changed_;
    PendingRequests<Answer> listening_;
    DatagramClient datagrams_;
    LeadershipClient leadership_;
    PeerClient peers_;
    Timer last_minutes_;
    std::map<ListenerId, std::shared_ptr<Intake>> intakes_;
    std::vector<std::weak_ptr<Intake>> own_intakes_; // of listen_alone()
    std::vector<std::function<void()>> exit_actions_;
    std::vector<std::string> args_;
    std::string title_; // Options::title
    bool stopping_ = false;
    Departure departure_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/worker_core.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of worker_core.hpp (layer 4).
#pragma once

#include <cohort/detail/worker/worker_core.hpp>

#include <cohort/detail/channel/transport.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/printable.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/system/fork.hpp>
#include <cohort/detail/system/forked_copy.hpp>
#include <cohort/detail/system/tool_chain.hpp>
#include <cohort/detail/worker/worker_spec.hpp>
#include <cohort/detail/worker/worker_title.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <string>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL WorkerCore::WorkerCore(const WorkerSetup& setup, const Options& options, Schema outgoing, Schema incoming,
                                   MakeIntake make_intake, std::vector<std::string> args)
    : context_(setup.context),
      page_(setup.page),
      connections_(setup.page.worker(setup.identity.cell), setup.page.requests(setup.identity.cell),
                   [this] { look_again(); }),
      heartbeat_(context_, page_.worker(setup.identity.cell)),
      identity_(setup.identity),
      grace_(options.grace),
      backlog_(options.backlog),
      make_intake_(make_intake),
      messages_(MessageStream::open(context_.get_executor(),
                                    std::make_unique<Transport>(context_.get_executor(), UniqueFd(identity_.channel)),
                                    {.max_length = options.max_message}, outgoing, incoming)),
      link_(share<WorkerLink>(context_.get_executor(), UniqueFd(identity_.control))),
      changed_(context_.get_executor()),
      listening_(link_, changed_),
      datagrams_(link_, changed_),
      leadership_(link_, changed_),
      peers_(link_, changed_),
      last_minutes_(context_.get_executor()),
      args_(std::move(args)),
      title_(options.title) {
    show_as_worker(title_, identity_, false);
    spawn(context_.get_executor(), control());
    link_->send(Online{outgoing.hash, incoming.hash});
}

COHORT_DECL Task<DatagramSocket> WorkerCore::bind(Endpoint endpoint) {
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    return datagrams_.bind(context_.get_executor(), std::move(endpoint));
}

COHORT_DECL void WorkerCore::leave() {
    if (stopping_) return;
    if (!link_->send(Leaving{})) return stop(false);
    stopping_ = true;
    peers_.stop();
    changed_.notify_all();
}

COHORT_DECL void WorkerCore::leave_when_replaced() {
    if (!stopping_ && !link_->send(Leaving{.replace = true})) stop(false);
}

COHORT_LAZY COHORT_DECL Task<> WorkerCore::until_stopping() {
    while (!stopping_) co_await changed_.wait();
}

COHORT_DECL void WorkerCore::exit(int code) {
    if (!is_forked_copy) {
        heartbeat_.end();
        finish();
    }
    leave_process(end_of_tool_chain(code));
}

COHORT_DECL void WorkerCore::handle_packet(Packet& packet) {
    FromMaster::with_type(packet.number, [&]<class M>(M*) {
        auto message = packet.read<M>();
        handle(message, packet);
    });
}

COHORT_DECL Task<> WorkerCore::control() {
    try {
        while (auto packet = co_await link_->receive()) handle_packet(*packet);
    } catch (const std::exception& error) {
        log_line(LogLevel::warning,
                 "worker " + std::to_string(identity_.id) + ": control link: " + printable(error.what()));
        link_->close();
    }
    master_gone();
}

COHORT_DECL Task<Listener> WorkerCore::listen(Endpoint endpoint) {
    co_await asio::post(asio::use_awaitable); // after the Unlisten of a listener closed before
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    PendingRequests<Answer>::Request request(listening_);
    link_->send(Listen{request.number(), endpoint});
    co_await request.wait();
    Answer& answer = request.answer();
    if (const auto error = error_of(answer.listening))
        throw std::system_error(error, "listen on " + endpoint.to_string());
    co_return std::move(*answer.listener);
}

COHORT_DECL Listener WorkerCore::make_listener(const Listening& listening, UniqueFd descriptor) {
    const ListenerId id = listening.listener;
    auto& intake = intakes_[id];
    intake = make_intake_({context_.get_executor(), link_, id, page_.cell(identity_.cell, id), connections_,
                           listening.endpoint, std::move(descriptor)});
    if (stopping_) intake->stop(departure_.others_go_on);
    // Sent at the next turn of the loop, so never when the body returns: the master keeps the port for the successor.
    return {intake, [executor = context_.get_executor(), link = link_, id] { spawn(executor, say_farewell(link, id)); },
            &departure_};
}

COHORT_DECL Task<> WorkerCore::say_farewell(std::shared_ptr<WorkerLink> link, ListenerId listener) {
    co_await asio::post(asio::use_awaitable);
    link->send(Unlisten{listener});
}

COHORT_LAZY COHORT_DECL Task<Listener> WorkerCore::listen_alone(Endpoint endpoint) {
    co_await asio::post(asio::use_awaitable);
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    std::error_code error;
    UniqueFd listener = open_listener(endpoint, false, backlog_, error);
    if (error) throw std::system_error(error, "listen on " + endpoint.to_string());
    const Endpoint bound = bound_endpoint(listener.get(), endpoint);
    const auto intake =
        share<ExclusiveIntake>(context_.get_executor(), link_, connections_, bound, std::move(listener));
    std::erase_if(own_intakes_, [](const auto& own) { return own.expired(); });
    own_intakes_.push_back(intake);
    link_->send(Announced{bound});
    co_return Listener(intake, [] {}); // no Departure: no other worker serves this endpoint, so nobody can come back
}

COHORT_DECL void WorkerCore::handle(Listening& message, Packet& packet) {
    UniqueFd descriptor(message.inherited);
    if (!packet.descriptors.empty()) descriptor = std::move(packet.descriptors.front());
    if (packet.descriptors_lost) {
        link_->send(Unlisten{message.listener});
        message.error = EMFILE;
    }
    std::optional<Listener> listener;
    if (message.error == 0) listener.emplace(make_listener(message, std::move(descriptor)));
    listening_.answer(message.request, {message, std::move(listener)}); // the listener closes if nobody waits any more
}

COHORT_DECL void WorkerCore::handle(PartOfWorker& message, Packet& packet) {
    if (!packet.descriptors.empty()) page_.show(message.part, message.worker, std::move(packet.descriptors.front()));
}

COHORT_DECL void WorkerCore::handle(Connections& message, Packet& packet) {
    const auto found = intakes_.find(message.listener);
    if (found == intakes_.end()) return;
    std::vector<TransferredConnection> connections;
    for (auto& descriptor : packet.descriptors) connections.emplace_back(std::move(descriptor));
    for (std::size_t i = 0; i < std::min(connections.size(), message.states.size()); ++i)
        connections[i].state = std::move(message.states[i]);
    found->second->deliver(message.first, message.count, std::move(connections));
}

COHORT_DECL void WorkerCore::handle(Forgotten& message, Packet&) {
    const auto found = intakes_.find(message.listener);
    if (found != intakes_.end()) found->second->forget(message.first, message.count);
}

/// A connection may end on any thread.
COHORT_DECL void WorkerCore::look_again() { post(context_.get_executor(), action<&WorkerCore::look_at_intakes>(this)); }

COHORT_DECL void WorkerCore::look_at_intakes() {
    for_each_intake([](Intake& intake) { intake.look_again(); });
}

COHORT_DECL void WorkerCore::stop(bool hand_over) {
    stopping_ = true;
    show_as_worker(title_, identity_, true);
    // Half of the grace: the other half is for the last answers.
    departure_ = {hand_over, Timeout(grace_ / 2).deadline()};
    for_each_intake([hand_over](Intake& intake) { intake.stop(hand_over); });
    leadership_.stop();
    peers_.stop();
    changed_.notify_all();
}

COHORT_DECL void WorkerCore::finish() noexcept {
    while (!exit_actions_.empty()) {
        const auto action = std::move(exit_actions_.back());
        exit_actions_.pop_back();
        try {
            action();
        } catch (...) {
            log_line(LogLevel::error, "worker " + std::to_string(identity_.id) + ": at exit: " + exception_text());
        }
    }
    link_->flush_now(grace_);
    messages_->flush_now(grace_);
}

COHORT_DECL void WorkerCore::give_up() { leave_process(1); }

/// Nobody is left to enforce the grace period, so the worker does.
COHORT_DECL void WorkerCore::master_gone() {
    stop(false);
    last_minutes_.expire_after(grace_, action<&WorkerCore::give_up>(this));
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of control_socket.hpp (layer 4).
#pragma once

#include <cohort/detail/control_socket/control_socket.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/control_socket/encoded_value.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/socket/private_folder.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <utility>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL ControlClient::ControlClient(const asio::any_io_executor& executor, UniqueFd connection)
    : channel(Channel::accepted(executor, std::move(connection), {.max_length = most_of_control})),
      patience(executor) {}

COHORT_DECL std::shared_ptr<OwnListener> listen_for_control(const asio::any_io_executor& executor,
                                                            const ControlOptions& options, UniqueFd inherited) {
    const bool is_open_to_others = !options.users.empty();
    if (const auto error = prepare_folder_of(options.path, is_open_to_others))
        throw std::system_error(error, "the folder of the control socket " + options.path);
    return listen_on_path(executor, Endpoint::unix_path(options.path, is_open_to_others ? 0666 : 0600),
                          std::move(inherited));
}

COHORT_DECL ControlSocket::ControlSocket(const asio::any_io_executor& executor, const ControlOptions& options,
                                         UniqueFd inherited)
    : executor_(executor), options_(options), listener_(listen_for_control(executor, options, std::move(inherited))) {}

COHORT_DECL void ControlSocket::add(std::string name, ControlAction action) {
    const auto [place, is_new] = actions_.try_emplace(std::move(name), std::move(action));
    if (!is_new) throw std::system_error(EEXIST, std::system_category(), "the action " + place->first);
}

COHORT_DECL void ControlSocket::begin() {
    if (std::exchange(accepts_, true)) return;
    take_over(*listener_);
    spawn(executor_, accept(shared_from_this()));
}

COHORT_DECL int ControlSocket::listener() const noexcept { return descriptor_of(*listener_); }

COHORT_DECL void ControlSocket::pass_on() noexcept { leave_to_others(*listener_); }

COHORT_DECL void ControlSocket::finish() {
    if (std::exchange(finished_, true)) return;
    detail::close(*listener_);
    for (const ClientPtr& client : clients_) spawn(executor_, wind_up(shared_from_this(), client));
}

COHORT_DECL void ControlSocket::close() noexcept {
    detail::close(*listener_);
    actions_.clear();
    for (const ClientPtr& client : clients_) client->give_up();
}

// Who may connect

COHORT_DECL Task<> ControlSocket::accept(std::shared_ptr<ControlSocket> self) {
    try {
        for (;;) {
            UniqueFd connection = co_await accept_from(self->listener_);
            if (!connection) co_return;
            self->try_to_admit(std::move(connection));
        }
    } catch (const std::system_error& error) {
        log_line(LogLevel::error, std::string("control: ") + error.what());
    }
}

COHORT_DECL void ControlSocket::try_to_admit(UniqueFd connection) {
    try {
        admit(std::move(connection));
    } catch (const std::exception& error) {
        log_line(LogLevel::warning, std::string("control: ") + error.what()); // it is closed; others may come
    }
}

COHORT_DECL bool ControlSocket::may_use(uid_t user) const noexcept {
    return user == 0 || user == ::geteuid() || std::ranges::find(options_.users, user) != options_.users.end();
}

COHORT_DECL void ControlSocket::admit(UniqueFd connection) {
    uid_t user = 0;
    try {
        user = peer_credentials(connection.get()).uid;
    } catch (const std::system_error&) {
        return; // it has gone
    }
    if (!may_use(user)) {
        if (!std::exchange(refused_somebody_, true))
            log_line(LogLevel::warning,
                     "control: user " + std::to_string(user) + " is refused, and so are others from now on in silence");
        return;
    }
    make_room();
    const ClientPtr client = share<ControlClient>(executor_, std::move(connection));
    clients_.push_back(client);
    client->patience.expire_after(options_.silence, action<&ControlClient::give_up>(client.get()));
    spawn(executor_, serve(shared_from_this(), client));
}

/// The one who has been silent for the longest time gives its place; who waits for an answer only where all do.
COHORT_DECL bool ControlSocket::goes_before(const ClientPtr& one, const ClientPtr& other) noexcept {
    if ((one->calls == 0) != (other->calls == 0)) return one->calls == 0;
    return one->silent_since < other->silent_since;
}

COHORT_DECL void ControlSocket::make_room() {
    while (!clients_.empty() && clients_.size() >= options_.clients) {
        const auto first = std::ranges::min_element(clients_, &ControlSocket::goes_before);
        (*first)->give_up();
        clients_.erase(first);
    }
}

// What they ask for

COHORT_DECL Task<control::Response> no_answer() { co_return control::Response{}; }

/// Called for each request of a client. A message that is no call is not begun: the end of its sender would not end it.
struct AnswerClient {
    Task<control::Response> operator()(const ControlClient::Channel::Mail& mail) const {
        return mail.expects_reply() ? answer(socket, client, mail.message) : no_answer();
    }

    Task<control::Response> (*answer)(std::shared_ptr<ControlSocket>, std::shared_ptr<ControlClient>, control::Request);
    std::shared_ptr<ControlSocket> socket;
    std::shared_ptr<ControlClient> client;
};

COHORT_DECL Task<> ControlSocket::serve(std::shared_ptr<ControlSocket> self, ClientPtr client) {
    constexpr std::size_t at_once = 8;
    try {
        AnswerClient handler{&ControlSocket::answer, self, client};
        co_await serve_calls(client->channel, std::move(handler), at_once);
    } catch (const std::exception&) {
        // It has gone, or speaks something else.
    }
    client->patience.cancel();
    client->give_up();
    std::erase(self->clients_, client);
}

COHORT_DECL Task<std::vector<std::byte>> ControlSocket::carry_out(control::Request& request) const {
    const auto found = actions_.find(request.action);
    if (found == actions_.end()) throw std::system_error(make_error_code(Errc::no_such_action), request.action);
    const ControlAction& action = found->second;
    if (request.takes != action.takes || request.gives != action.gives)
        throw std::system_error(make_error_code(Errc::schema_mismatch), request.action);
    return action.run(std::move(request.argument));
}

COHORT_DECL Task<control::Response> ControlSocket::answer(std::shared_ptr<ControlSocket> self, ClientPtr client,
                                                          control::Request request) {
    client->patience.cancel();
    ++client->calls;
    control::Response response;
    try {
        auto work = self->carry_out(request);
        response.result = co_await std::move(work);
    } catch (...) {
        response.failure = control::Failure::current();
    }
    --client->calls;
    client->silent_since = std::chrono::steady_clock::now();
    co_return response;
}

/// Its last answers reach it, also when the program then ends, and who follows asks for what came last.
COHORT_DECL Task<> ControlSocket::wind_up(std::shared_ptr<ControlSocket> self, ClientPtr client) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds longest{1'000};
    const auto end = Clock::now() + longest;
    client->silent_since = Clock::now();
    try {
        asio::steady_timer pause(self->executor_);
        while (client->is_busy() && Clock::now() < end) {
            pause.expires_after(ControlClient::until_it_asks / 10);
            co_await until_expired(pause);
        }
    } catch (const std::system_error&) {
        // It has gone.
    }
    client->give_up();
}

} // namespace cohort::detail

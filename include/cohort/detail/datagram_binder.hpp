// SPDX-License-Identifier: MIT
// DatagramBinder: a worker's side of binding UDP ports through its master (layer 3).
#pragma once

#include <cohort/datagram_socket.hpp>
#include <cohort/detail/notifier.hpp>
#include <cohort/mode.hpp>

#include <asio/post.hpp>

#include <map>
#include <memory>
#include <optional>

namespace cohort::detail {

class DatagramBinder {
public:
    /// `changed` is notified when the link has ended.
    DatagramBinder(std::shared_ptr<WorkerLink> link, Notifier& changed) : link_(std::move(link)), changed_(changed) {}

    Task<DatagramSocket> bind(asio::any_io_executor executor, Endpoint endpoint);
    void answer(const asio::any_io_executor& executor, Bound message, Packet<FromMaster>& packet);

private:
    struct Answer {
        std::optional<Bound> bound;
        std::optional<DatagramSocket> socket;
    };

    DatagramSocket make_socket(const asio::any_io_executor& executor, const Bound& bound, UniqueFd descriptor) const;

    std::shared_ptr<WorkerLink> link_;
    Notifier& changed_;
    std::map<std::uint32_t, Answer> requests_;
    std::uint32_t last_request_ = 0;
};

inline Task<DatagramSocket> DatagramBinder::bind(asio::any_io_executor executor, Endpoint endpoint) {
    co_await asio::post(executor, asio::use_awaitable); // behind the farewell of a socket closed before
    const std::uint32_t request = ++last_request_;
    Answer& answer = requests_[request];
    const auto withdraw = [this](const std::uint32_t* number) { requests_.erase(*number); };
    const std::unique_ptr<const std::uint32_t, decltype(withdraw)> guard(&request, withdraw);
    link_->send(Bind{request, endpoint});
    while (!answer.bound && !link_->ended()) co_await changed_.wait();
    if (!answer.bound) throw std::system_error(make_error_code(Errc::closed));
    if (const auto error = error_of(*answer.bound)) throw std::system_error(error, "bind to " + endpoint.to_string());
    co_return std::move(*answer.socket);
}

inline DatagramSocket DatagramBinder::make_socket(const asio::any_io_executor& executor, const Bound& bound,
                                                  UniqueFd descriptor) const {
    const bool is_v6 = bound.endpoint.host().find(':') != std::string::npos;
    asio::ip::udp::socket socket(executor);
    socket.assign(is_v6 ? asio::ip::udp::v6() : asio::ip::udp::v4(), descriptor.get());
    [[maybe_unused]] const int owned_by_socket = descriptor.release();
    // Told at the next turn of the loop, so never by a body that returns: the socket then waits for the successor.
    return {std::move(socket), bound.endpoint, [executor, link = link_, id = bound.binding] {
                asio::post(executor, [link, id] { link->send(Unbind{id}); });
            }};
}

inline void DatagramBinder::answer(const asio::any_io_executor& executor, Bound message, Packet<FromMaster>& packet) {
    std::optional<DatagramSocket> socket;
    if (message.error == 0 && packet.descriptors.empty()) { // at the descriptor limit of either process
        link_->send(Unbind{message.binding});
        message.error = EMFILE;
    }
    if (message.error == 0) socket.emplace(make_socket(executor, message, std::move(packet.descriptors.front())));
    const auto found = requests_.find(message.request);
    if (found == requests_.end()) return; // the caller was cancelled: the socket closes
    found->second.bound = std::move(message);
    found->second.socket = std::move(socket);
    changed_.notify_all();
}

} // namespace cohort::detail

// SPDX-License-Identifier: MIT
// The bodies of client.hpp (layer 4).
#pragma once

#include <cohort/control/client.hpp>

#include <cohort/detail/share.hpp>

namespace cohort::detail {

COHORT_DECL Task<std::vector<std::byte>> ask(std::shared_ptr<ControlChannel> channel, control::Request request,
                                             Timeout timeout) {
    control::Response response = co_await channel->call(request, timeout);
    if (const std::error_code error = response.failure.code()) throw std::system_error(error, response.failure.text);
    co_return std::move(response.result);
}

} // namespace cohort::detail

namespace cohort::control {

COHORT_DECL Task<Client> Client::connect(asio::any_io_executor executor, std::string path) {
    const Endpoint endpoint = Endpoint::unix_path(std::move(path));
    const ChannelLimits limits{.max_length = detail::most_of_control};
    auto channel = co_await detail::ControlChannel::connect(executor, endpoint, limits);
    co_return Client(detail::share<detail::ControlChannel>(std::move(channel)));
}

} // namespace cohort::control

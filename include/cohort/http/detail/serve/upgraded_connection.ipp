// SPDX-License-Identifier: MIT
// The bodies of upgraded_connection.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/upgraded_connection.hpp>

#include <cohort/detail/config.hpp>

#include <stdexcept>
#include <system_error>

namespace cohort::http::detail {

COHORT_DECL Task<std::optional<std::string_view>> UpgradedConnection::read() {
    stream_.consume(std::exchange(given_, 0));
    if (stream_.received().empty()) {
        if (is_to_be_told()) co_return std::nullopt;
        std::error_code error;
        const std::size_t count =
            co_await stream_.read(Waiting::upgraded, TimerWheel::never, ConnectionStream::usual_room, error);
        if (error == asio::error::eof) co_return std::nullopt;
        if (count == 0 && error == asio::error::operation_aborted && is_to_be_told()) co_return std::nullopt;
        if (count == 0) throw std::system_error(error);
    }
    given_ = stream_.received().size();
    co_return stream_.received();
}

COHORT_DECL Socket UpgradedConnection::release(std::string& received) {
    if (stream_.has_layer()) throw std::logic_error("http::Upgraded::release: the connection is encrypted");
    stream_.consume(std::exchange(given_, 0));
    received = stream_.received();
    stream_.consume(received.size());
    return std::move(stream_.socket());
}

} // namespace cohort::http::detail

namespace cohort::http {

COHORT_DECL Socket Upgraded::release(std::string& received) { return stream_->release(received); }

} // namespace cohort::http

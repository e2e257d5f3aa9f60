// SPDX-License-Identifier: MIT
// The bytes of a connection that has left HTTP (layer 3).
#pragma once

#include <cohort/http/detail/serve/connection_stream.hpp>
#include <cohort/http/upgraded.hpp>

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace cohort::http::detail {

class UpgradedConnection final : public UpgradedStream {
public:
    explicit UpgradedConnection(ConnectionStream& stream) : stream_(stream) {}

    Task<std::optional<std::string_view>> read() override;
    Task<> write(std::string_view bytes) override { return stream_.send_beside_reading(bytes); }
    bool draining() const noexcept override { return stream_.server().draining(); }
    Socket release(std::string& received) override;

private:
    bool is_to_be_told() noexcept { return draining() && !std::exchange(told_, draining()); }

    ConnectionStream& stream_;
    std::size_t given_ = 0; ///< of what was received, the last read() gave so much
    bool told_ = false;
};

inline Task<std::optional<std::string_view>> UpgradedConnection::read() {
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

inline Socket UpgradedConnection::release(std::string& received) {
    if (stream_.has_layer()) throw std::logic_error("http::Upgraded::release: the connection is encrypted");
    stream_.consume(std::exchange(given_, 0));
    received = stream_.received();
    stream_.consume(received.size());
    return std::move(stream_.socket());
}

} // namespace cohort::http::detail

namespace cohort::http {

inline Socket Upgraded::release(std::string& received) { return stream_->release(received); }

} // namespace cohort::http

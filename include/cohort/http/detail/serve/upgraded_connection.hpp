// SPDX-License-Identifier: MIT
// The bytes of a connection that has left HTTP (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/serve/connection_stream.hpp>
#include <cohort/http/upgraded.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cohort::http::detail {

class UpgradedConnection final : public UpgradedStream {
public:
    explicit UpgradedConnection(ConnectionStream& stream) : stream_(stream) {}

    COHORT_DECL Task<std::optional<std::string_view>> read() override;
    Task<> write(std::string_view bytes) override { return stream_.send_beside_reading(bytes); }
    bool draining() const noexcept override { return stream_.server().draining(); }
    Task<> until_draining() override { return stream_.server().until_draining(); }
    COHORT_DECL Socket release(std::string& received) override;

private:
    bool is_to_be_told() noexcept { return draining() && !std::exchange(told_, draining()); }

    ConnectionStream& stream_;
    std::size_t given_ = 0; ///< bytes of received() that the last read() returned
    bool told_ = false;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/upgraded_connection.ipp>
#endif

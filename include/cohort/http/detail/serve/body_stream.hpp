// SPDX-License-Identifier: MIT
// The body of a response that its handler writes piece by piece (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/serve/connection_stream.hpp>
#include <cohort/http/response.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <string_view>

namespace cohort::http::detail {

/// One for each connection, used for one response after the other.
class BodyStream final : public BodySink {
public:
    explicit BodyStream(ConnectionStream& stream) : stream_(stream) {}

    /// Starts a body; `length` is the one declared in the head, if any.
    void begin(std::optional<std::uint64_t> length, bool chunked) noexcept;
    /// Runs the producer. Throws what it throws, and when it wrote less than the declared length.
    Task<> run(const Producer& producer);
    /// How many bytes were written, also when it failed on the way.
    std::uint64_t written() const noexcept { return written_; }
    COHORT_DECL Task<> write_chunk(std::string_view bytes) override;
    bool draining() const noexcept override { return stream_.server().draining(); }
    Task<> until_draining() override { return stream_.server().until_draining(); }
    COHORT_DECL void end_at_drain(bool wanted) override;

private:
    /// After so many bytes it is the turn of others: a client that takes everything at once must not keep them waiting.
    static constexpr std::uint64_t turn = 256 * 1024;

    bool turn_ended(std::uint64_t count) const noexcept { return written_ / turn != (written_ - count) / turn; }
    Task<> yield();
    void begin_writing() noexcept;
    void end_writing();
    bool ended_by_drain(const std::exception_ptr& failure) const noexcept;
    Task<> send_by_turns(std::string_view bytes);

    ConnectionStream& stream_;
    std::uint64_t written_ = 0;
    std::optional<std::uint64_t> left_;
    bool chunked_ = false;
    bool ends_at_drain_ = false;
    bool writing_ = false; ///< then it is not cancelled: a chunk is sent whole
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/body_stream.ipp>
#endif

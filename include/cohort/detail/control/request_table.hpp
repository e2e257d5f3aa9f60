// SPDX-License-Identifier: MIT
// RequestTable: what a worker does, where its master can see it also when it is stuck or dead (layer 2).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cohort::detail {

/// Of the steady clock, which all processes of a machine share.
std::uint64_t nanoseconds_now() noexcept;

/// What is known of a request when it begins.
struct RequestNote {
    std::string_view method{};
    std::string_view target{}; ///< what follows a '?' is not kept: it may be a secret
    std::string_view client{}; ///< empty: the peer of the socket
    int socket = -1;
};

/// One request that has not been answered. Its worker may write anything here.
struct alignas(128) RequestCell {
    /// As it was at one moment; the texts end with a zero.
    struct Seen {
        std::uint64_t begun = 0; ///< nanoseconds_now()
        int socket = -1;
        std::array<char, 73> what{};
        std::array<char, 41> client{};
    };

    void write(const RequestNote& note, std::uint64_t now) noexcept;
    /// Empty: there is none, or another one now. Also in a signal handler.
    std::optional<Seen> read() const noexcept;

    std::atomic<std::uint64_t> begun; ///< 0: there is none
    std::atomic<std::int32_t> socket; ///< while there is none: the number of the next that is free, in RequestTable
    std::array<std::atomic<std::uint64_t>, 9> what;
    std::array<std::atomic<std::uint64_t>, 5> client;
};

/// Begin and end cost some ten nanoseconds, on any thread; all zero it is empty. Requests beyond its size are not in
/// it. Lies in memory that only its worker writes, to the end of its process.
struct alignas(128) RequestTable {
    static constexpr std::uint32_t size = 510;

    /// Null: it is full.
    RequestCell* begin(const RequestNote& note, std::uint64_t now) noexcept;
    void end(RequestCell& cell) noexcept;
    /// Above this number none was ever used.
    std::uint32_t used() const noexcept;

    /// What the process does, in the program's own words; up to 127 bytes.
    void set_doing(std::string_view text) noexcept;
    std::string doing_text() const;

    std::atomic<std::uint64_t> free; ///< the first one that is, from 1 on, beside a number that each change increments
    std::atomic<std::uint32_t> touched;
    std::array<std::atomic<char>, 128> doing; ///< to a zero; the handler of a signal may interrupt who writes it
    std::array<RequestCell, size> cells;
};
static_assert(sizeof(RequestCell) == 128 && sizeof(RequestTable) == 65'536);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/request_table.ipp>
#endif

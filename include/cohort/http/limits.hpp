// SPDX-License-Identifier: MIT
// How much of everything a request may have (layer 1).
#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::http {

/// In bytes unless said otherwise. A request beyond one gets the status named, and its connection is closed.
struct Limits {
    std::size_t head = 32 * 1024;             ///< request line and fields together, at most 1 GiB: 431
    std::size_t target = 16 * 1024;           ///< 414
    std::size_t fields = 100;                 ///< how many: 431
    std::size_t field = 16 * 1024;            ///< one field line: 431
    std::uint64_t body = 1024 * 1024;         ///< 413
    std::size_t trailers = 8 * 1024;          ///< 431
    std::size_t chunk_extension = 1024;       ///< of one chunk: 413
    std::size_t chunk_extensions = 16 * 1024; ///< of one body: 413
};

} // namespace cohort::http

// SPDX-License-Identifier: MIT
// The bodies of unique_fd.hpp (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <cohort/detail/config.hpp>

#include <sys/socket.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL void OwnedDescriptors::add(int fd) {
    auto& table = instance().owned_;
    if (static_cast<std::size_t>(fd) >= table.size()) table.resize(static_cast<std::size_t>(fd) + 64);
    table[static_cast<std::size_t>(fd)] = alone;
}

COHORT_DECL std::vector<int> OwnedDescriptors::all() {
    std::vector<int> result;
    const auto& table = instance().owned_;
    for (std::size_t fd = 0; fd < table.size(); ++fd)
        if (table[fd] != none) result.push_back(static_cast<int>(fd));
    return result;
}

COHORT_DECL UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
        reset();
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

COHORT_DECL void UniqueFd::reset() noexcept {
    if (fd_ < 0) return;
    constexpr linger at_once{0, 0};
    if (OwnedDescriptors::is_shared(fd_)) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    OwnedDescriptors::remove(fd_);
    ::close(std::exchange(fd_, -1));
}

} // namespace cohort::detail

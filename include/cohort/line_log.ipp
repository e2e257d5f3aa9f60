// SPDX-License-Identifier: MIT
// The bodies of line_log.hpp (layer 2).
#pragma once

#include <cohort/line_log.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace cohort::detail {

/// "/proc/self/fd/" and the number.
struct DescriptorPath {
    explicit DescriptorPath(int descriptor) noexcept {
        constexpr std::string_view folder = "/proc/self/fd/";
        auto* const number = std::ranges::copy(folder, text.data()).out;
        std::to_chars(number, text.data() + text.size() - 1, descriptor);
    }

    std::array<char, 32> text{};
};

/// The same pipe or terminal opened once more: O_NONBLOCK of the descriptor itself other processes would have, too. -1:
/// it is neither, or may not be opened.
COHORT_DECL int open_without_waiting(int descriptor) noexcept {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) return -1;
    const bool is_terminal = S_ISCHR(status.st_mode) && ::isatty(descriptor) == 1;
    if (!is_terminal && !S_ISFIFO(status.st_mode)) return -1;
    return ::open(DescriptorPath(descriptor).text.data(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/// Whether a write would not wait, nor find that nobody reads there, which would be SIGPIPE.
COHORT_DECL bool is_writable(int descriptor) noexcept {
    pollfd wanted{descriptor, POLLOUT, 0};
    return ::poll(&wanted, 1, 0) == 1 && wanted.revents == POLLOUT;
}

COHORT_DECL ssize_t write_again_opened(int descriptor, const iovec& bytes) noexcept {
    const int own = open_without_waiting(descriptor);
    // It may be another user's. There is room, unless some other process has been quicker.
    if (own < 0) return ::writev(descriptor, &bytes, 1);
    const ssize_t written = ::writev(own, &bytes, 1);
    ::close(own);
    return written;
}

COHORT_DECL ssize_t write_without_waiting(int descriptor, iovec bytes) noexcept {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) return -1;
    if (S_ISSOCK(status.st_mode)) return ::send(descriptor, bytes.iov_base, bytes.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode)) return ::writev(descriptor, &bytes, 1);
    if (!is_writable(descriptor)) return -1;
    const ssize_t written = ::pwritev2(descriptor, &bytes, 1, -1, RWF_NOWAIT);
    // Terminals do not know that, and pipes do since Linux 6.4.
    return written < 0 && errno == EOPNOTSUPP ? write_again_opened(descriptor, bytes) : written;
}

} // namespace cohort::detail

namespace cohort {

COHORT_DECL bool LineLog::write(std::string_view line) noexcept {
    const int saved = errno;
    const bool taken = (lost_ == 0 || tell_lost()) && put(line);
    if (!taken) {
        loser_ = ::getpid();
        ++lost_;
    }
    errno = saved;
    return taken;
}

COHORT_DECL bool LineLog::put(std::string_view line) noexcept {
    std::array<char, longest> bytes; // NOLINT: as much of it as is needed is set below
    char* end = bytes.data();
    if (is_torn_) *end++ = '\n';
    const auto room = static_cast<std::size_t>(bytes.data() + longest - 1 - end);
    end = std::ranges::copy(line.substr(0, room), end).out;
    *end++ = '\n';
    const auto size = static_cast<std::size_t>(end - bytes.data());
    const ssize_t written = detail::write_without_waiting(descriptor_, {bytes.data(), size});
    if (written > 0) is_torn_ = static_cast<std::size_t>(written) < size;
    return written == static_cast<ssize_t>(size);
}

COHORT_DECL bool LineLog::tell_lost() noexcept {
    const std::uint64_t lost = lost_.exchange(0);
    if (lost == 0 || loser_ != ::getpid()) return true;
    constexpr std::string_view before = "cohort: ";
    constexpr std::string_view behind = " lines were lost here: nobody took them";
    std::array<char, 96> text; // NOLINT
    char* end = std::ranges::copy(before, text.data()).out;
    end = std::to_chars(end, end + 20, lost).ptr;
    end = std::ranges::copy(behind, end).out;
    if (put({text.data(), static_cast<std::size_t>(end - text.data())})) return true;
    lost_ += lost;
    return false;
}

} // namespace cohort

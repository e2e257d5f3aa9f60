// SPDX-License-Identifier: MIT
// Handle: an open file, socket or pipe as a member of a message (layer 2).
#pragma once

#include <cohort/detail/system/system.hpp>
#include <cohort/serialize.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace cohort {

/// Owns a descriptor, or none. The receiver of a message gets a descriptor of its own for the same open file
/// (SCM_RIGHTS, unix(7)); the sender keeps its copy for as long as it keeps its Handle. Both share file offset and
/// O_NONBLOCK. Received descriptors are close-on-exec. A worker forked while its master holds a Handle does not inherit
/// the descriptor: send it what it needs.
///
///     struct Job { std::string name; Handle output; };
///     Job job{"resize", Handle(::open("out.png", O_WRONLY | O_CREAT | O_CLOEXEC, 0644))};
///     co_await self.send(job);
class Handle {
public:
    Handle() = default;
    /// Takes the descriptor over.
    explicit Handle(int fd) : fd_(fd) {}
    explicit Handle(detail::UniqueFd fd) : fd_(std::move(fd)) {}
    /// Releases it from an Asio socket, acceptor or stream_descriptor, which owns none afterwards.
    template <class Object>
        requires requires(Object& object) {
            { object.release() } -> std::convertible_to<int>;
        } && (!std::is_lvalue_reference_v<Object>)
    explicit Handle(Object&& object) : fd_(object.release()) {}

    /// A copy of somebody else's descriptor. Errors: EMFILE, EBADF.
    static Handle copy_of(int fd) { return Handle(detail::duplicate(fd)); }

    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    int get() const noexcept { return fd_.get(); }
    /// Hands it to another owner, such as assign() of an Asio object.
    [[nodiscard]] int release() noexcept { return fd_.release(); }

    static void serialize(auto& archive, auto& self) {
        bool open = static_cast<bool>(self);
        archive(open);
        if constexpr (std::remove_reference_t<decltype(archive)>::decoding)
            self = Handle(open ? archive.take_descriptor() : -1);
        else if (open)
            archive.pass_descriptor(self.get());
    }

private:
    detail::UniqueFd fd_;
};

} // namespace cohort

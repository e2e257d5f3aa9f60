// SPDX-License-Identifier: MIT
// The bodies of writer_process.hpp (layer 3).
#pragma once

#include <cohort/detail/logs/writer_process.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/process_status.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace cohort::detail {

// In the new process

/// Those that end a service, a session or a failed write.
COHORT_DECL void ignore_what_ends_a_service() noexcept {
    for (const int signal : service_signals) ::signal(signal, SIG_IGN);
    for (const int signal : {SIGPIPE, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU, SIGALRM}) ::signal(signal, SIG_IGN);
}

/// Nothing that the program has opened stays open here, or its readers would wait for this process.
COHORT_DECL void keep_only(int descriptor) noexcept {
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO}) ::dup2(nothing, standard);
    const auto first = static_cast<unsigned>(STDERR_FILENO) + 1;
    const auto kept = static_cast<unsigned>(descriptor);
    if (kept > first) ::syscall(SYS_close_range, first, kept - 1, 0);
    ::syscall(SYS_close_range, kept + 1, ~0U, 0);
}

/// A session of its own: neither a terminal nor who signals a process group reaches it. The program may have threads,
/// so that nothing of it may be used here.
[[noreturn]] COHORT_DECL void become_writer(int socket, const LogOptions& options,
                                            const std::atomic<std::uint64_t>& lost_at_end) noexcept {
    ::setsid();
    ::prctl(PR_SET_NAME, "cohort-log");
    keep_only(socket);
    try {
        LogWriter(socket, options, lost_at_end).run();
    } catch (const std::exception&) { // there is no memory
        ::_exit(1);
    }
    ::_exit(0);
}

// In the master

COHORT_DECL SharedNumber::SharedNumber()
    : process_(::getpid()), size_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw_last_error("mmap");
    value_ = ::new (memory) std::atomic<std::uint64_t>(0);
    lend(false);
}

COHORT_DECL SharedNumber::~SharedNumber() {
    if (::getpid() == process_) ::munmap(value_, size_);
}

COHORT_DECL void SharedNumber::lend(bool is_lent) noexcept {
    ::madvise(value_, size_, is_lent ? MADV_DOFORK : MADV_DONTFORK);
}

COHORT_DECL std::shared_ptr<WriterProcess> WriterProcess::start(const asio::any_io_executor& executor,
                                                                const LogOptions& options, Owner& owner) {
    auto [mine, its] = make_socketpair(SOCK_SEQPACKET);
    const auto self = share<WriterProcess>(executor, options, owner, std::move(mine), std::move(its));
    self->launch();
    return self;
}

COHORT_DECL WriterProcess::WriterProcess(const asio::any_io_executor& executor, const LogOptions& options, Owner& owner,
                                         UniqueFd socket, UniqueFd its_end)
    : executor_(executor),
      options_(options),
      owner_(&owner),
      socket_(executor, std::move(socket)),
      its_end_(std::move(its_end)),
      again_(executor),
      retry_(executor) {
    constexpr int much = 1 << 20; // the kernel doubles it, and may allow others than root less (socket(7), wmem_max)
    if (::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &much, sizeof much) != 0)
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
    int size = 0;
    socklen_t length = sizeof size;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &size, &length);
    packet_size_ = std::clamp(static_cast<std::size_t>(size) / 4, std::size_t{1} << 12, std::size_t{1} << 16);
}

COHORT_DECL void WriterProcess::launch() {
    const SharedNumber::Lent lent(lost_at_end_);
    Process process = fork_process(AfterFork::execs, &ignore_what_ends_a_service);
    if (process.pid == 0) become_writer(its_end_.get(), options_, lost_at_end_.value());
    pid_ = process.pid;
    born_ = std::chrono::steady_clock::now();
    pidfd_.emplace(executor_, std::move(process.pidfd));
    armed_ = false;
    if (watched_) watch();
}

COHORT_DECL void WriterProcess::watch() {
    watched_ = true;
    if (armed_ || pid_ == 0) return;
    armed_ = true;
    pidfd_->when_readable(action<&WriterProcess::end>(this, shared_from_this()));
}

COHORT_DECL void WriterProcess::rest() {
    watched_ = false;
    if (armed_) pidfd_->cancel();
}

COHORT_DECL void WriterProcess::launch_again() {
    try {
        launch();
    } catch (const std::system_error&) {
        again_.expire_after(std::chrono::seconds(1), action<&WriterProcess::launch_again>(this));
    }
}

COHORT_DECL void WriterProcess::end() {
    armed_ = false;
    if (owner_ == nullptr || !watched_) return;
    const auto status = reap(pidfd_->get());
    if (!status && !has_ended(pidfd_->get())) return watch();
    pid_ = 0;
    const bool has_worked = std::chrono::steady_clock::now() - born_ >= std::chrono::seconds(1);
    short_lives_ = has_worked ? 0 : short_lives_ + 1;
    const std::chrono::milliseconds pause(short_lives_ > 1 ? 100 : 0);
    again_.expire_after(pause, action<&WriterProcess::launch_again>(this));
    owner_->on_writer_end(status.value_or(ExitStatus::unknown()));
}

COHORT_DECL bool WriterProcess::send(LogPacket kind, std::string_view lines) {
    char first = static_cast<char>(kind);
    iovec parts[] = {{&first, 1}, {const_cast<char*>(lines.data()), lines.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ssize_t sent = 0;
    do {
        sent = System::current().sendmsg(socket_.get(), &message);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && !waits_) await_room(errno);
    return sent >= 0;
}

COHORT_DECL void WriterProcess::await_room(int error) {
    waits_ = true;
    if (would_block(error))
        socket_.when_writable(action<&WriterProcess::tell_of_room>(this, shared_from_this()));
    else // a limit of the kernel, which gives no event
        retry_.expire_after(std::chrono::milliseconds(10), action<&WriterProcess::tell_of_room>(this));
}

COHORT_DECL void WriterProcess::tell_of_room() {
    waits_ = false;
    if (owner_ != nullptr) owner_->on_room();
}

COHORT_DECL bool WriterProcess::wait_for_room(Deadline deadline) noexcept {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd room{socket_.get(), POLLOUT, 0};
    waits_ = left.count() <= 0 || ::poll(&room, 1, static_cast<int>(left.count())) != 1;
    return !waits_;
}

COHORT_DECL bool WriterProcess::is_runnable() const {
    return pid_ != 0 && ProcessStatus(pid_)["State"].find("R (running)") != std::string::npos;
}

COHORT_DECL bool WriterProcess::is_drained() const noexcept {
    int unread = 0;
    return ::ioctl(socket_.get(), SIOCOUTQ, &unread) != 0 || unread == 0;
}

COHORT_DECL void WriterProcess::revive() noexcept {
    again_.cancel();
    if (pid_ != 0 && reap(pidfd_->get())) pid_ = 0;
    if (pid_ == 0) launch_again();
}

COHORT_DECL bool WriterProcess::finish(Deadline deadline, std::uint64_t lost) noexcept {
    owner_ = nullptr;
    lost_at_end_.value().store(lost, std::memory_order_release);
    retry_.cancel();
    const auto is_late = [deadline] { return std::chrono::steady_clock::now() >= deadline; };
    while (!is_drained() && !is_late()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    again_.cancel();
    socket_.close();
    its_end_.reset();
    if (pid_ == 0) return false;
    while (!has_ended(pidfd_->get()) && !is_late()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    reap(pidfd_->get());
    pidfd_->close();
    return true;
}

} // namespace cohort::detail

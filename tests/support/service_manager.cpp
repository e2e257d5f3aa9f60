// SPDX-License-Identifier: MIT
#include "service_manager.hpp"

#include "process.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace test {

namespace {

socklen_t fill_in(const std::string& address, sockaddr_un& to) {
    to.sun_family = AF_UNIX;
    std::ranges::copy(address, to.sun_path);
    if (address.front() == '@') to.sun_path[0] = '\0';
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
}

} // namespace

bool Notification::has(const std::string& line) const {
    const std::string end = line.ends_with('=') ? "" : "\n";
    return ("\n" + text + "\n").find("\n" + line + end) != std::string::npos;
}

std::string Notification::value_of(const std::string& name) const {
    const std::string all = "\n" + text + "\n";
    const auto at = all.find("\n" + name + "=");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 2;
    return all.substr(begin, all.find('\n', begin) - begin);
}

ServiceManager::ServiceManager(Name name)
    : address_(name == Name::path ? folder_ / "notify" : "@cohort-test" + (folder_ / "notify")),
      socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un own{};
    const socklen_t length = fill_in(address_, own);
    const int on = 1;
    if (::bind(socket_, reinterpret_cast<const sockaddr*>(&own), length) != 0 ||
        ::setsockopt(socket_, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
        throw std::runtime_error("the notify socket");
}

ServiceManager::~ServiceManager() { ::close(socket_); }

void ServiceManager::adopt() const { ::setenv("NOTIFY_SOCKET", address_.c_str(), 1); }

void ServiceManager::pass_store() {
    std::string names;
    std::vector<cohort::detail::UniqueFd> copies; // out of the way of the numbers that they get
    for (const auto& [name, descriptor] : store_) {
        names += (names.empty() ? "" : ":") + name;
        copies.emplace_back(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 200));
    }
    store_.clear();
    for (std::size_t i = 0; i != copies.size(); ++i) ::dup2(copies[i].get(), static_cast<int>(3 + i));
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(copies.size()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

void ServiceManager::fill() const {
    sockaddr_un to{};
    const socklen_t length = fill_in(address_, to);
    for (int senders = 0, sent = 1; sent != 0 && senders != 1'000; ++senders) { // each has a limit of its own, too
        const int sender = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        sent = 0;
        while (::sendto(sender, "FILL=1", 6, 0, reinterpret_cast<const sockaddr*>(&to), length) > 0) ++sent;
        ::close(sender);
    }
}

bool ServiceManager::receive(Notification& notification, std::chrono::milliseconds time) {
    if (!readable_within(socket_, time)) return false;
    char text[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int))];
    iovec bytes{text, sizeof text};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = ::recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
    if (size < 0) return false;
    notification.text.assign(text, static_cast<std::size_t>(size));
    ucred sender{};
    int descriptor = -1;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_type == SCM_CREDENTIALS) std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
        if (header->cmsg_type == SCM_RIGHTS) std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    }
    notification.from = sender.pid;
    cohort::detail::UniqueFd passed(descriptor);
    if (notification.has("FDSTORE=1")) store_[notification.value_of("FDNAME")] = std::move(passed);
    if (notification.has("FDSTOREREMOVE=1")) store_.erase(notification.value_of("FDNAME"));
    return true;
}

Notification ServiceManager::next(const std::string& line, std::vector<Notification>* passed) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        Notification found;
        if (!receive(found, left)) throw std::runtime_error("the service did not say " + line);
        if (found.has(line)) return found;
        if (passed != nullptr) passed->push_back(found);
    }
}

std::vector<Notification> ServiceManager::all_within(std::chrono::milliseconds time) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    std::vector<Notification> all;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        Notification one;
        if (!receive(one, std::max(left, std::chrono::milliseconds(0)))) return all;
        all.push_back(one);
    }
}

} // namespace test

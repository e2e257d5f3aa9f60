// SPDX-License-Identifier: MIT
// What workers count, seen by the others.
#include <cohort/counter.hpp>

#include "support/cluster.hpp"

#include <cohort/detail/system/system.hpp>

#include <cerrno>

#include <unistd.h>

using namespace test;

namespace {

constexpr std::int64_t many = 12;

/// Sends no datagram of this process while it has a failure; those of workers it sends.
class FullKernel final : public detail::System {
public:
    int failure = 0;

    ssize_t sendmsg(int fd, const msghdr* message) noexcept override {
        if (failure == 0 || ::getpid() != owner_) return System::sendmsg(fd, message);
        errno = failure;
        return -1;
    }

private:
    pid_t owner_ = ::getpid();
    Replace installed_{*this};
};

Task<> see_all(App::Worker& self) {
    Counter counter = self.counter("test_workers");
    counter.add();
    while (counter.value() != many) co_await pause(self.context(), 1ms);
    co_await say(self, "all");
    co_await self.until_stopping();
}

} // namespace

TEST_CASE("all workers see what all count, also if the kernel takes no descriptors while they start") {
    for (const int failure : {0, ETOOMANYREFS, ENOBUFS, EAGAIN}) {
        CAPTURE(failure);
        FullKernel kernel;
        in_master<App>(plain_options(), [&](App& app) -> Task<> {
            kernel.failure = failure;
            for (int i = 0; i != many; ++i) app.spawn(see_all);
            kernel.failure = 0;
            for (int i = 0; i != many; ++i) {
                const auto said = co_await mail(app);
                CHECK(said.message.text == "all");
            }
            co_await app.stop();
        });
    }
}

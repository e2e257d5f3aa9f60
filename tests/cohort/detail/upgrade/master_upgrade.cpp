// SPDX-License-Identifier: MIT
// A master that replaces another one and does not listen everywhere where that did.
#include <cohort/detail/upgrade/master_upgrade.hpp>

#include <cohort/run.hpp>

#include "support/client.hpp"
#include "support/cluster.hpp"
#include "support/exec_worker.hpp"
#include "support/folder.hpp"
#include "support/logs.hpp"
#include "support/process.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <unistd.h>

using namespace test;

namespace {

const std::string main_endpoint = "127.0.0.1:0";

/// Listens where the arguments say that its slot does.
Task<> host_its_own(WorkerBase& self) {
    auto listener = co_await self.listen(Endpoint(self.args().at(self.slot())));
    write_line(std::to_string(self.slot()) + " listens on " + listener.endpoint().to_string());
    co_await keep_all(self, listener);
}

int run_in(const std::string& mode, std::vector<std::string> endpoints) {
    Options options = permanent_options();
    options.workers = static_cast<unsigned>(endpoints.size());
    options.worker.args = std::move(endpoints);
    return mode == "shared-socket" ? run<SharedApp>(options, host_its_own) : run<App>(options, host_its_own);
}

const NextMaster listens_less("listens-less", [] {
    write_line("new master " + std::to_string(::getpid()));
    return run_in(NextMaster::argument(), {main_endpoint});
});

} // namespace

TEST_CASE("where the program before listened and this one does not, nobody waits: connections are refused") {
    struct Row {
        const char* before;
        const char* after;
        bool is_unix;
    };
    for (const Row& row : {Row{"round-robin", "round-robin", false}, Row{"round-robin", "round-robin", true},
                           Row{"shared-socket", "shared-socket", false}, Row{"shared-socket", "shared-socket", true},
                           Row{"shared-socket", "round-robin", false}, Row{"round-robin", "shared-socket", false}}) {
        CAPTURE(row.before);
        CAPTURE(row.after);
        CAPTURE(row.is_unix);
        const Folder folder;
        const std::string former = row.is_unix ? "unix:" + folder / "former" : "127.0.0.2:0";
        ::setenv(NextMaster::variable, (std::string("listens-less ") + row.after).c_str(), 1);
        Helper old([&] { return run_in(row.before, {main_endpoint, main_endpoint, former}); });
        const Endpoint goes(old.after("2 listens on "));
        old.signal(SIGUSR2);
        const Watched next(old.number_after("new master "));
        const Endpoint stays(old.after("0 listens on "));
        CHECK(old.wait() == ExitStatus::exited(0));
        CHECK(eventually([&goes] { return !connected(goes); }));
        CHECK(eventually([&goes] { return !goes.is_unix() || !std::filesystem::exists(goes.path()); }));
        for (int i = 0; i != 20; ++i) CHECK(is_served(connected(stays)));
        ::unsetenv(NextMaster::variable);
    }
}

// Messages both ways: each worker greets the master, the master greets each worker.
// Run:    messages
// Expect: one "Master receives" and one "Worker <id> receives" line for each CPU; exit code 0.

#include <cohort.hpp>

#include <iostream>

using namespace cohort;

struct Note {
    std::string text;
};
using App = Master<Note>;

Task<> greet_master(App::Worker& self) {
    const Note hello{"Message from worker " + std::to_string(self.id())};
    co_await self.send(hello);
    if (const auto note = co_await self.receive())
        std::cout << "Worker " << self.id() << " receives '" << note->text << "'" << std::endl;
}

Task<> greet_workers(App& master) {
    for (const auto& worker : master.workers()) {
        const Note hello{"Message from master to worker " + std::to_string(worker.id)};
        co_await master.send(worker.id, hello);
    }
    while (const auto mail = co_await master.receive())
        std::cout << "Master receives '" << mail->message.text << "' from worker " << mail->from << std::endl;
}

int main() { return run<App>({.restart = Restart::temporary}, greet_workers, greet_master); }

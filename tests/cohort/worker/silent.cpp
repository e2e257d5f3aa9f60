// SPDX-License-Identifier: MIT
// Workers whose output is kept out of the program's: nothing of it is seen there, and their messages arrive. Each
// program is a helper process, whose standard output and standard error the test reads.
#include <cohort/worker.hpp>

#include <asio/io_context.hpp>

#include "support/cluster.hpp"
#include "support/exec_worker.hpp"
#include "support/process.hpp"

#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>

using namespace test;

namespace {

void make_noise() {
    std::cout << "noise by std::cout\n";
    std::printf("noise by stdio\n");
    std::cerr << "noise by std::cerr\n";
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) [[maybe_unused]]
        const auto n = ::write(fd, "noise\n", 6);
}

/// Prints much, and answers the master. The library has the last word, on standard error.
Task<> chatter(App::Worker& self) {
    make_noise();
    co_await say(self, "from the worker");
    while (const auto note = co_await self.receive()) {
        make_noise();
        co_await say(self, "worker got " + note->text);
    }
    throw std::runtime_error("the last noise");
}

int start_chatter() {
    asio::io_context io(1);
    App app(io, plain_options());
    app.spawn(chatter);
    return 120; // never: spawn() is where the worker's life begins
}
const ExecWorker noisy("exec-noisy", start_chatter);

Task<> converse(App& app, WorkerId worker) {
    const auto first = co_await mail(app);
    co_await tell(app, worker, "to the worker");
    const auto second = co_await mail(app);
    app.disconnect(worker);
    const Event end = co_await end_of(app, worker);
    std::cout << first.message.text << '\n' << second.message.text << '\n' << end.status->describe() << '\n';
}
const std::string conversation = "from the worker\nworker got to the worker\nexited with code 1\n";

/// A program with one worker.
template <class Body>
int master_of(Body body, Options options = plain_options()) {
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    in_master<App>(options, [&](App& app) { return converse(app, app.spawn(body)); });
    return 0;
}

/// The worker does this with its standard streams before it goes on.
auto after(std::function<void()> redirect) {
    return [redirect](App::Worker& self) {
        redirect();
        return chatter(self);
    };
}

/// What a program prints that must succeed.
template <class Program>
std::string output_of(Program program) {
    Helper helper(std::move(program));
    std::string output = helper.rest();
    CHECK(helper.wait().code() == 0);
    return output;
}

void redirect_to(int fd) {
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
}

TEST_CASE("a worker's output goes where the program's goes, unless the worker puts it elsewhere") {
    const auto loud = output_of([] { return master_of(chatter); });
    CHECK(loud.find("noise by std::cout\n") != loud.npos);
    CHECK(loud.find("noise by std::cerr\n") != loud.npos);
    CHECK(loud.ends_with(conversation));
}

TEST_CASE("a worker that gives its output to nobody talks to the master as before") {
    CHECK(output_of([] { return master_of(after([] { redirect_to(::open("/dev/null", O_WRONLY | O_CLOEXEC)); })); }) ==
          conversation);
}

TEST_CASE("a worker without standard output and standard error talks to the master as before") {
    CHECK(output_of([] {
              return master_of(after([] {
                  ::close(STDOUT_FILENO);
                  ::close(STDERR_FILENO);
              }));
          }) == conversation);
}

TEST_CASE("a worker's output is found in the file it was put into, with why the worker ended") {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
    const int fd = ::fileno(file.get());
    CHECK(output_of([fd] { return master_of(after([fd] { redirect_to(fd); })); }) == conversation);
    std::string text(4096, '\0');
    const auto size = ::pread(fd, text.data(), text.size(), 0);
    REQUIRE(size > 0);
    text.resize(static_cast<std::size_t>(size));
    CHECK(text.find("noise by std::cout\n") != text.npos);
    CHECK(text.find("noise by stdio\n") != text.npos);
    CHECK(text.find("noise by std::cerr\n") != text.npos);
    CHECK(text.find("cohort: worker 1: the last noise\n") != text.npos);
}

Task<> never_answered(App::Worker&) { co_return; }

TEST_CASE("a program started as a worker may have its output put elsewhere before it begins") {
    const std::string program = std::filesystem::read_symlink("/proc/self/exe");
    Options options = plain_options();
    options.spawn = Spawn::exec;
    options.worker.program = "/bin/sh";
    options.worker.args = {"-c", "exec \"$0\" \"$@\"", program, "exec-noisy"};
    const auto loud = output_of([&] { return master_of(never_answered, options); });
    CHECK(loud.find("noise by std::cerr\n") != loud.npos);
    CHECK(loud.ends_with(conversation));

    options.worker.args[1] += " >/dev/null 2>&1";
    CHECK(output_of([&] { return master_of(never_answered, options); }) == conversation);
    options.worker.args[1] = "exec \"$0\" \"$@\" >&- 2>&-";
    CHECK(output_of([&] { return master_of(never_answered, options); }) == conversation);
}

} // namespace

// Sees and steers a running cluster through its control socket: Options::control, as of `http_server --control PATH`.
// Run:    steer PATH [status | requests | events | crashes | reload | upgrade | restart WORKER | scale WORKERS | stop]
// Expect: status, a line for each worker; requests, a line for each that is not answered; events, a line for each,
//         until the cluster ends; crashes, what is known of the last ones; otherwise what became of it.

#include <cohort.hpp>
#include <cohort/control.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

using namespace cohort;

/// "  recycled at 1000 requests, 3600 s", or nothing.
std::string limits_of(const control::RecycleStatus& recycle) {
    std::string limits;
    if (recycle.request_limit != 0) limits += ", " + std::to_string(recycle.request_limit) + " requests";
    if (recycle.age_limit.count() != 0) limits += ", " + std::to_string(recycle.age_limit.count() / 1'000) + " s";
    if (recycle.memory_limit != 0) limits += ", " + std::to_string(recycle.memory_limit >> 20) + " MiB";
    if (limits.empty()) return limits;
    return (recycle.due ? "  is recycled, at " : "  recycled at ") + limits.substr(2);
}

Task<> show_status(control::Client client) {
    const control::MasterStatus status = co_await client.status();
    std::cout << status.program << " (process " << status.pid << "), " << status.workers.size() << " workers\n";
    for (const auto& worker : status.workers)
        std::cout << "worker " << worker.id << "  slot " << worker.slot << "  process " << worker.pid << "  "
                  << to_string(worker.state) << "  " << worker.uptime.count() / 1'000 << " s  " << (worker.memory >> 20)
                  << " MiB (" << (worker.private_memory >> 20) << " its own)  " << worker.cpu.count() << " ms CPU  "
                  << worker.connections << " connections  " << worker.requests << " requests"
                  << limits_of(worker.recycle) << '\n';
    for (const auto& slot : status.slots)
        if (slot.restarts != 0)
            std::cout << "slot " << slot.slot << "  " << slot.restarts << " restarts, last " << slot.last_end << '\n';
}

Task<> show_requests(control::Client client) {
    const control::Requests all = co_await client.requests();
    for (const auto& request : all.requests)
        std::cout << "worker " << request.worker << "  " << request.age.count() << " ms  " << request.what
                  << (request.client.empty() ? "" : "  from " + request.client) << '\n';
}

Task<> show_events(control::Client client) {
    for (std::uint64_t next = 1;;) {
        const control::Events some = co_await client.events(next);
        if (some.missed != 0) std::cout << some.missed << " earlier ones are not known any more\n";
        for (const auto& event : some.events)
            std::cout << event.number << "  worker " << event.worker << "  slot " << event.slot << "  "
                      << to_string(event.kind) << (event.endpoint ? " on " + event.endpoint->to_string() : "")
                      << (event.status ? ": " + event.status->describe() : "") << '\n';
        std::cout.flush();
        if (some.ended) co_return;
        next = some.next;
    }
}

Task<> show_crashes(control::Client client) {
    const control::Crashes all = co_await client.crashes();
    for (const auto& crash : all.crashes) std::cout << crash.report.describe() << '\n';
}

Task<> show_outcome(Task<control::Outcome> change) {
    const control::Outcome outcome = co_await std::move(change);
    std::cout << outcome.replaced << " replaced\n";
    if (!outcome) throw std::runtime_error(outcome.error.text);
}

Task<> wait_for(Task<control::Nothing> change) { co_await std::move(change); }

/// The words of the command line behind the program.
Task<> obey(std::vector<std::string> words) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const control::Client client = co_await control::Client::connect(executor, words.at(0));
    const std::string command = words.size() < 2 ? "status" : words[1];
    const unsigned number = words.size() < 3 ? 0 : static_cast<unsigned>(std::stoul(words[2]));
    if (command == "status") co_return co_await show_status(client);
    if (command == "requests") co_return co_await show_requests(client);
    if (command == "events") co_return co_await show_events(client);
    if (command == "crashes") co_return co_await show_crashes(client);
    if (command == "reload") co_return co_await show_outcome(client.reload());
    if (command == "upgrade") co_return co_await show_outcome(client.upgrade());
    if (command == "restart") co_return co_await show_outcome(client.restart(number));
    if (command == "scale") co_return co_await wait_for(client.scale(number));
    if (command == "stop") co_return co_await wait_for(client.stop());
    throw std::runtime_error("unknown command: " + command);
}

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: steer PATH [status | requests | events | crashes | reload | upgrade | restart WORKER | "
                     "scale WORKERS | stop]\n";
        return 2;
    }
    asio::io_context io(1);
    int code = 0;
    asio::co_spawn(io, obey({argv + 1, argv + argc}), [&code](std::exception_ptr failure) {
        try {
            if (failure) std::rethrow_exception(failure);
        } catch (const std::exception& error) {
            std::cerr << "steer: " << error.what() << '\n';
            code = 1;
        }
    });
    io.run();
    return code;
}

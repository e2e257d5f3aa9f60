// The demo, and the target of tests and measurements: a web server with a choice of mode.
// Run:    http_server [--port N] [--workers N] [--mode round-robin|least-connections|shared-socket] [--idle-timeout MS]
//                     [--body-limit BYTES] [--control PATH] [--pid-file PATH] [--title NAME] [--log PATH]
// Expect: one line with the address; GET / /hello/:name? /worker /bytes/:n /sleep/:ms /count /opened /private /small
// /exit/:code /crash.

#include <cohort.hpp>
#include <cohort/control.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <list>
#include <map>
#include <set>
#include <variant>

#include <getopt.h>

using namespace cohort;

// How many requests all workers have served: a worker asks, the master collects from every worker, and answers. Each
// question has a number, and so has each round in which the workers are asked: earlier answers are ignored.
struct Ask {
    std::uint64_t number = 0;
};
struct Tally {
    std::uint64_t served = 0;
    std::uint64_t round = 0;
};
struct Collect {
    std::uint64_t round = 0;
};
struct Total {
    std::uint64_t served = 0;
    std::uint64_t number = 0;
};

// How many connections clients have opened, whoever has them now: the master knows.
struct AskOpened {};
struct Opened {
    std::uint64_t connections = 0;
};
using Messages = Duplex<std::variant<Collect, Total, Opened>, std::variant<Ask, Tally, AskOpened>>;

template <class M>
using App = Master<Messages, M>;

// In a worker

template <class M>
struct Server {
    typename App<M>::Worker& worker;
    asio::steady_timer counted{worker.get_executor(), asio::steady_timer::time_point::max()};
    std::uint64_t served = 0;
    std::uint64_t total = 0;
    std::uint64_t asked = 0;
    std::uint64_t answered = 0;
};

/// The number in a path; 404 when it is none, or too large.
std::uint64_t number(const http::Request& request, std::string_view name, std::uint64_t largest) {
    const std::string text = request.param(name).value_or("");
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > largest) throw http::Error(404);
    return value;
}

Task<http::Response> hello_world(const http::Request&) { co_return http::text("Hello World\n"); }

Task<http::Response> echo(const http::Request& request) {
    std::string body = co_await request.body().text();
    co_return http::text(std::move(body));
}

Task<http::Response> hello(const http::Request& request) {
    co_return http::text("Hello " + std::string(request.param("name").value_or("World")) + "\n");
}

template <class M>
Task<http::Response> who(Server<M>& server, const http::Request&) {
    const auto& self = server.worker;
    co_return http::json("{\"id\":" + std::to_string(self.id()) + ",\"pid\":" + std::to_string(self.pid()) +
                         ",\"slot\":" + std::to_string(self.slot()) + "}\n");
}

Task<> write_bytes(http::BodyWriter& out, std::uint64_t count) {
    static const std::string piece(65536, 'x');
    for (; count > 0; count -= std::min<std::uint64_t>(count, piece.size()))
        co_await out.write(std::string_view(piece).substr(0, count));
}

Task<http::Response> bytes(const http::Request& request) {
    const std::uint64_t count = number(request, "n", std::uint64_t{1} << 40);
    co_return http::stream([count](http::BodyWriter& out) { return write_bytes(out, count); }, count);
}

Task<http::Response> sleep_a_while(const http::Request& request) {
    const std::chrono::milliseconds time(number(request, "ms", 600'000));
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
    co_return http::text("slept " + std::to_string(time.count()) + " ms\n");
}

/// 413 for anything larger.
Task<http::Response> echo_small(const http::Request& request) {
    std::string body = co_await request.text(1000);
    co_return http::text(std::move(body));
}

Task<http::Response> ask_who(const http::Request&) {
    throw http::Error(401).with("WWW-Authenticate", "Basic realm=\"nobody\"");
}

template <class M>
Task<http::Response> end_worker(Server<M>& server, const http::Request& request) {
    const std::uint64_t code = number(request, "code", 255);
    const Tally tally{server.served, 0};
    co_await server.worker.send(tally);
    co_await server.worker.exit(static_cast<int>(code));
    co_return http::status(500);
}

Task<http::Response> crash(const http::Request&) { std::abort(); }

template <class M>
Task<http::Response> count(Server<M>& server, const http::Request&) {
    const Ask question{++server.asked};
    co_await server.worker.send(question);
    while (server.answered < question.number) {
        std::error_code woken;
        co_await server.counted.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    co_return http::text(std::to_string(server.total) + "\n");
}

template <class M>
Task<http::Response> opened(Server<M>& server, const http::Request&) {
    const auto answer = co_await server.worker.call(AskOpened{}, std::chrono::seconds(5));
    co_return http::text(std::to_string(std::get<Opened>(answer).connections) + "\n");
}

template <class M>
Task<> answer_master(Server<M>& server) {
    while (const auto message = co_await server.worker.receive()) {
        if (const auto* total = std::get_if<Total>(&*message)) {
            server.total = total->served;
            server.answered = std::max(server.answered, total->number);
            server.counted.cancel();
        } else if (const auto* collect = std::get_if<Collect>(&*message)) {
            const Tally tally{server.served, collect->round};
            co_await server.worker.send(tally);
        }
    }
}

template <class M>
struct Counted {
    http::Router<Server<M>> router;

    Task<http::Response> operator()(Server<M>& server, const http::Request& request) const {
        ++server.served;
        return router(server, request);
    }
};

template <class M>
Task<> serve(typename App<M>::Worker& self) {
    Counted<M> routes;
    routes.router.get("/", hello_world).any("/", echo).get("/hello/:name?", hello).get("/worker", who<M>);
    routes.router.get("/bytes/:n", bytes).get("/sleep/:ms", sleep_a_while).get("/count", count<M>);
    routes.router.get("/opened", opened<M>).any("/private", ask_who).any("/small", echo_small);
    routes.router.get("/exit/:code", end_worker<M>).get("/crash", crash);

    Server<M> server{self};
    asio::co_spawn(self.context(), answer_master(server), asio::detached);
    auto listener = co_await self.listen(Endpoint(self.args().at(0)));
    http::ServerOptions options;
    options.idle_timeout = std::chrono::milliseconds(std::stoul(self.args().at(1)));
    options.limits.body = std::stoul(self.args().at(2));
    co_await http::serve(server, listener, routes, options);
}

// In the master

/// Who asked, and who has yet to tell its number.
struct Question {
    WorkerId asker = 0;
    std::uint64_t number = 0;
    std::uint64_t round = 0;
    std::set<WorkerId> missing;
};
struct Counting {
    std::map<WorkerId, std::uint64_t> served;
    std::list<Question> questions; // under way
    std::uint64_t rounds = 0;
};

template <class M>
Task<> answer_who_can_be(App<M>& master, Counting& counting) {
    Total total;
    for (const auto& [worker, served] : counting.served) total.served += served;
    // Taken out first: while an answer is being sent, questions may be added and others completed.
    std::list<Question> complete;
    for (auto next = counting.questions.begin(); next != counting.questions.end();) {
        const auto question = next++;
        if (question->missing.empty()) complete.splice(complete.end(), counting.questions, question);
    }
    for (const Question& question : complete) {
        total.number = question.number;
        try {
            co_await master.send(question.asker, total);
        } catch (const std::system_error&) {
            // It has died; nobody waits for the answer any more.
        }
    }
}

template <class M>
Task<> collect(App<M>& master, Counting& counting) {
    while (auto mail = co_await master.receive()) {
        if (const auto* tally = std::get_if<Tally>(&mail->message)) {
            counting.served[mail->from] = tally->served;
            for (auto& question : counting.questions)
                if (question.round <= tally->round) question.missing.erase(mail->from);
        } else if (std::get_if<AskOpened>(&mail->message)) {
            const SlotStats total = master.stats().total();
            const Opened answer{total.accepted - total.handed_over};
            co_await mail->reply(answer);
        } else if (const auto* ask = std::get_if<Ask>(&mail->message)) {
            const Collect collect{++counting.rounds};
            Question& question = counting.questions.emplace_back(Question{mail->from, ask->number, collect.round, {}});
            for (const auto& worker : master.workers())
                if (worker.state != WorkerState::draining) question.missing.insert(worker.id);
            co_await master.broadcast(collect);
        }
        co_await answer_who_can_be<M>(master, counting);
    }
}

// Nobody waits for a terminal that stands still, or for a full pipe.
LineLog output(STDOUT_FILENO);
LineLog errors(STDERR_FILENO);

template <class M>
Task<> tell(App<M>& master, Counting& counting) {
    bool told = false;
    while (const auto event = co_await master.next_event()) {
        if (event->kind == WorkerState::listening && !std::exchange(told, true))
            output.write("http_server: listening on " + event->endpoint->to_string() + ", " +
                         std::to_string(master.options().workers) + " workers, " + M::name + ", pid " +
                         std::to_string(::getpid()));
        if (event->kind == WorkerState::draining || event->kind == WorkerState::exited) {
            for (auto& question : counting.questions) question.missing.erase(event->worker);
            co_await answer_who_can_be<M>(master, counting);
        }
        if (event->kind == WorkerState::exited && !event->voluntary)
            errors.write("http_server: worker " + std::to_string(event->worker) + " " + event->status->describe());
    }
}

template <class M>
Task<> watch(App<M>& master) {
    Counting counting;
    using namespace asio::experimental::awaitable_operators;
    co_await (collect<M>(master, counting) && tell<M>(master, counting));
}

// Arguments

struct Arguments {
    std::uint16_t port = 8080;
    unsigned workers = 0;
    unsigned idle_timeout = 65'000; // ms
    unsigned body_limit = 1024 * 1024;
    std::string mode = RoundRobin::name;
    std::string control;  // the path of its control socket
    std::string pid_file; // and of the file with its number
    std::string title;    // in the list of processes
    std::string log;      // a file for what the workers write; empty: the standard streams
};

std::optional<unsigned> to_number(std::string_view text, unsigned largest) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > largest) return std::nullopt;
    return value;
}

std::optional<Arguments> parse(int argc, char** argv) {
    const option options[] = {
        {"port", required_argument, nullptr, 'p'},       {"workers", required_argument, nullptr, 'w'},
        {"mode", required_argument, nullptr, 'm'},       {"idle-timeout", required_argument, nullptr, 'i'},
        {"body-limit", required_argument, nullptr, 'b'}, {"control", required_argument, nullptr, 'c'},
        {"pid-file", required_argument, nullptr, 'f'},   {"title", required_argument, nullptr, 't'},
        {"log", required_argument, nullptr, 'l'},        {}};
    Arguments arguments;
    const std::map<int, std::string*> texts = {{'m', &arguments.mode},
                                               {'c', &arguments.control},
                                               {'f', &arguments.pid_file},
                                               {'t', &arguments.title},
                                               {'l', &arguments.log}};
    for (int option = 0; (option = ::getopt_long(argc, argv, "", options, nullptr)) != -1;) {
        if (const auto text = texts.find(option); text != texts.end()) {
            *text->second = optarg;
            continue;
        }
        const unsigned largest = option == 'p' ? 65535 : option == 'w' ? 1024 : option == 'b' ? 1u << 30 : 3'600'000;
        const auto value = option == '?' ? std::nullopt : to_number(optarg, largest);
        if (!value) return std::nullopt;
        if (option == 'p')
            arguments.port = static_cast<std::uint16_t>(*value);
        else if (option == 'b')
            arguments.body_limit = *value;
        else
            (option == 'w' ? arguments.workers : arguments.idle_timeout) = *value;
    }
    const bool known_mode = arguments.mode == RoundRobin::name || arguments.mode == LeastConnections::name ||
                            arguments.mode == SharedSocket::name;
    if (optind != argc || !known_mode) return std::nullopt;
    return arguments;
}

template <class M>
int run_server(const Arguments& arguments) {
    const Endpoint endpoint(arguments.port);
    std::optional<LogOptions> logs;
    if (!arguments.log.empty()) logs = {.path = arguments.log};
    return run<App<M>>({.workers = arguments.workers,
                        .listen = {endpoint},
                        .control = {.path = arguments.control},
                        .logs = logs,
                        .pid_file = arguments.pid_file,
                        .fd_store = true,
                        .title = arguments.title,
                        .worker = {.args = {endpoint.to_string(), std::to_string(arguments.idle_timeout),
                                            std::to_string(arguments.body_limit)}}},
                       watch<M>, serve<M>);
}

int main(int argc, char** argv) {
    const auto arguments = parse(argc, argv);
    if (!arguments) {
        std::cerr << "usage: http_server [--port 0..65535] [--workers 0..1024 (0: one for each CPU)]"
                     " [--mode round-robin|least-connections|shared-socket] [--idle-timeout MS]"
                     " [--body-limit BYTES] [--control PATH] [--pid-file PATH] [--title NAME] [--log PATH]\n";
        return 2;
    }
    if (arguments->mode == RoundRobin::name) return run_server<RoundRobin>(*arguments);
    if (arguments->mode == LeastConnections::name) return run_server<LeastConnections>(*arguments);
    return run_server<SharedSocket>(*arguments);
}

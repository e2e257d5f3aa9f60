// SPDX-License-Identifier: MIT
#include "commands.hpp"

#include "app.hpp"
#include "client.hpp"
#include "daemon.hpp"
#include "home.hpp"
#include "logs.hpp"
#include "supervise.hpp"
#include "table.hpp"

#include <cohort/error.hpp>
#include <cohort/version.hpp>

#include <asio/co_spawn.hpp>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

#include <sched.h>
#include <unistd.h>

namespace manager {

namespace {

using namespace cohort;
namespace files = std::filesystem;

constexpr const char* usage = R"(Usage: cohort COMMAND [ARGUMENTS]

An APP is a name, an id, a namespace, or all.

  start FILE|NAME [-- ARGS]   run a program, or an app that was stopped
      -i, --instances N       how many: a number; max or 0, one a CPU; -1, one less
      --name NAME             its name; without it that of the file
      --namespace NAME        its namespace; without it default
      --listen ADDRESS        a socket that all instances share, as from systemd
                              (LISTEN_FDS); may be given several times
      --cwd FOLDER            where it runs; without it here
      --env NAME=VALUE        beside the environment of this command
      --restart WHEN          always (default), on-failure, never
      --stop-signal SIGNAL    what asks it to leave; without it TERM
      --grace SECONDS         from then to SIGKILL; without it 10
      --min-uptime SECONDS    having lived so long an instance is ready; without it 0.5
  list [APP...] [--json]      what runs (also: ls, ps, status)
  logs [APP...]               what they have written
      -n, --lines N           the last N lines of each (default 20)
      -f, --follow            and what comes
      --err                   standard error alone
      --grep TEXT             lines with this text alone
      --json                  an object a line
  stop APP...                 end its instances
  restart APP...              stop, then start
  reload APP...               replace one instance after the other; if a new one
                              does not get ready, the old ones stay
  scale APP N|+N|-N           as many instances, or so many more or less
  signal SIGNAL APP...        send it to every instance
  delete APP...               stop it and forget it
  kill                        end all apps and the daemon; the next command that needs
                              it starts it, and them, again

Exit codes: 0; 1, it failed; 2, it cannot be understood.
COHORT_HOME is the folder of a daemon; each has its own.
)";

/// What cannot be understood.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class Number>
std::optional<Number> number_of(const std::string& text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return number;
}

int signal_of(const std::string& text) {
    if (const auto number = number_of<int>(text); number && *number > 0 && *number <= SIGRTMAX) return *number;
    std::string name = text;
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (int number = 1; number < SIGRTMIN; ++number) {
        const char* const abbreviation = ::sigabbrev_np(number);
        if (abbreviation != nullptr && name == abbreviation) return number;
    }
    throw UsageError("'" + text + "' is no signal");
}

std::uint64_t milliseconds_of(const std::string& text) {
    const auto seconds = number_of<double>(text);
    if (!seconds || !(*seconds >= 0) || *seconds > 1e6) throw UsageError("'" + text + "' is no time in seconds");
    return static_cast<std::uint64_t>(*seconds * 1'000);
}

/// Words behind a command: options with their values, in order, and what is no option.
class Words {
public:
    /// `with_value`, `flags`: the options that there are, by their short names, too.
    Words(const std::vector<std::string>& words, const std::map<std::string, std::string>& with_value,
          const std::map<std::string, std::string>& flags) {
        std::size_t i = 0;
        for (; i != words.size() && words[i] != "--"; ++i) {
            const auto equals = words[i].starts_with("--") ? words[i].find('=') : std::string::npos;
            const std::string option = words[i].substr(0, equals);
            if (const auto valued = with_value.find(option); valued != with_value.end()) {
                if (equals == std::string::npos && ++i == words.size()) throw UsageError(option + " needs a value");
                values_.emplace(valued->second, equals == std::string::npos ? words[i] : words[i].substr(equals + 1));
            } else if (const auto flag = flags.find(option); flag != flags.end() && equals == std::string::npos) {
                values_.emplace(flag->second, "");
            } else if (option.starts_with("-") && !number_of<long>(option)) {
                throw UsageError(option + ": there is no such option");
            } else {
                plain_.push_back(words[i]);
            }
        }
        if (i != words.size()) rest_.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
    }

    bool has(const std::string& option) const { return values_.contains(option); }
    /// The last one that was given.
    std::string value(const std::string& option, std::string otherwise) const {
        const auto [begin, end] = values_.equal_range(option);
        return begin == end ? std::move(otherwise) : std::prev(end)->second;
    }
    std::vector<std::string> all(const std::string& option) const {
        std::vector<std::string> values;
        const auto [begin, end] = values_.equal_range(option);
        for (auto one = begin; one != end; ++one) values.push_back(one->second);
        return values;
    }
    const std::vector<std::string>& plain() const noexcept { return plain_; }
    const std::vector<std::string>& rest() const noexcept { return rest_; } ///< behind "--"

private:
    std::multimap<std::string, std::string> values_;
    std::vector<std::string> plain_;
    std::vector<std::string> rest_;
};

Selection selection_of(const Words& words) {
    if (words.plain().empty()) throw UsageError("which app? A name, an id, a namespace, or all");
    return {words.plain()};
}

// Starting

std::uint32_t instances_of(const std::string& text) {
    cpu_set_t set;
    const int cpus = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const auto number = text == "max" ? 0 : number_of<int>(text);
    if (!number || *number > 1'000 || *number < -cpus) throw UsageError("'" + text + "' is no number of instances");
    return static_cast<std::uint32_t>(*number > 0 ? *number : std::max(1, cpus + *number));
}

bool begins_with(const std::string& path, std::string_view bytes) {
    std::string begin(bytes.size(), '\0');
    std::ifstream(path, std::ios::binary).read(begin.data(), static_cast<std::streamsize>(begin.size()));
    return begin == bytes;
}

/// Who runs a file that cannot be executed itself.
void choose_program(AppSpec& spec, const files::path& file) {
    static const std::map<std::string, std::string> interpreters{{".js", "node"},    {".mjs", "node"}, {".cjs", "node"},
                                                                 {".py", "python3"}, {".sh", "sh"},    {".rb", "ruby"},
                                                                 {".pl", "perl"},    {".php", "php"}};
    const bool is_program =
        ::access(file.c_str(), X_OK) == 0 && (begins_with(file.native(), "#!") || begins_with(file.native(), "\x7f"
                                                                                                             "ELF"));
    const auto interpreter = interpreters.find(file.extension().native());
    if (!is_program && interpreter == interpreters.end())
        throw std::runtime_error(file.native() + ": it is not executable, and no interpreter is known for its ending");
    spec.program = is_program ? file.native() : interpreter->second;
    if (!is_program) spec.args.push_back(file.native());
}

/// As a shell looks for it.
std::string found_in_path(const std::string& name) {
    const char* const path = std::getenv("PATH");
    std::string folders = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
    for (std::size_t begin = 0; begin <= folders.size();) {
        const std::size_t end = std::min(folders.find(':', begin), folders.size());
        const files::path file = files::path(folders.substr(begin, end - begin)) / name;
        std::error_code error;
        if (files::is_regular_file(file, error) && ::access(file.c_str(), X_OK) == 0) return file.native();
        begin = end + 1;
    }
    return "";
}

void check_endpoint(const std::string& text) {
    try {
        [[maybe_unused]] const Endpoint endpoint(text);
    } catch (const std::system_error&) {
        throw UsageError("--listen " + text + ": is no address, such as 8080, 127.0.0.1:8080, [::1]:8080 or a path");
    }
}

/// What a service manager has told this process alone.
bool is_of_this_process(std::string_view variable) {
    constexpr std::string_view names[] = {"NOTIFY_SOCKET=", "WATCHDOG_",
                                          "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES="};
    return std::ranges::any_of(names, [variable](std::string_view name) { return variable.starts_with(name); });
}

/// Empty: the word means no file and no program.
std::optional<AppSpec> spec_of(const Words& words) {
    const std::string& word = words.plain().front();
    AppSpec spec;
    std::error_code error;
    const bool is_file = files::is_regular_file(word, error);
    if (!is_file && word.find('/') != std::string::npos) throw std::runtime_error(word + ": there is no such file");
    if (is_file)
        choose_program(spec, files::absolute(word).lexically_normal());
    else if (found_in_path(word).empty())
        return std::nullopt;
    else
        spec.program = word;
    spec.args.insert(spec.args.end(), words.rest().begin(), words.rest().end());
    spec.name = words.value("name", files::path(word).stem().native());
    spec.group = words.value("namespace", "default");
    spec.cwd = files::absolute(words.value("cwd", ".")).lexically_normal().native();
    spec.instances = instances_of(words.value("instances", "1"));
    spec.listen = words.all("listen");
    for (const std::string& endpoint : spec.listen) check_endpoint(endpoint);
    spec.restart = words.value("restart", spec.restart);
    spec.stop_signal = signal_of(words.value("stop-signal", "TERM"));
    if (words.has("grace")) spec.grace_ms = milliseconds_of(words.value("grace", ""));
    if (words.has("min-uptime")) spec.min_uptime_ms = milliseconds_of(words.value("min-uptime", ""));
    const auto set = [&spec](std::string_view variable) {
        const auto equals = variable.find('=');
        if (equals == 0 || equals == variable.npos) throw UsageError(std::string(variable) + ": is not NAME=VALUE");
        spec.env[std::string(variable.substr(0, equals))] = variable.substr(equals + 1);
    };
    for (char** one = environ; *one != nullptr; ++one)
        if (**one != '=' && std::strchr(*one, '=') != nullptr && !is_of_this_process(*one)) set(*one);
    for (const std::string& variable : words.all("env")) set(variable);
    if (const std::string fault = fault_of(spec); !fault.empty()) throw UsageError(fault);
    return spec;
}

const std::map<std::string, std::string> start_options{{"-i", "instances"},
                                                       {"--instances", "instances"},
                                                       {"--name", "name"},
                                                       {"--namespace", "namespace"},
                                                       {"--listen", "listen"},
                                                       {"--cwd", "cwd"},
                                                       {"--env", "env"},
                                                       {"--restart", "restart"},
                                                       {"--stop-signal", "stop-signal"},
                                                       {"--grace", "grace"},
                                                       {"--min-uptime", "min-uptime"}};

// Each command, with a daemon

using Daemon = control::Client;

void print(const AppList& list) { std::cout << table_of(list, Look::of(STDOUT_FILENO)); }

Task<> start(Daemon daemon, std::vector<std::string> arguments) {
    const Words words(arguments, start_options, {});
    if (words.plain().size() != 1) throw UsageError("start needs one file, program or app");
    const std::string& word = words.plain().front();
    const Selection everything{{"all"}};
    const auto known = co_await daemon.call<AppList>("list apps", everything);
    const auto is_it = [&word](const AppStatus& app) { return app.name == word || std::to_string(app.id) == word; };
    std::error_code error;
    if (std::ranges::any_of(known.apps, is_it) && !files::is_regular_file(word, error)) {
        const Selection one{{word}};
        const auto list = co_await daemon.call<AppList>("start apps", one);
        co_return print(list);
    }
    auto spec = spec_of(words);
    if (!spec) throw std::runtime_error(word + ": there is no such file, program or app");
    const StartRequest request{std::move(*spec)};
    const auto list = co_await daemon.call<AppList>("start app", request);
    print(list);
}

Task<> list(Daemon daemon, std::vector<std::string> arguments) {
    const Words words(arguments, {}, {{"--json", "json"}});
    Selection chosen{words.plain()};
    if (chosen.words.empty()) chosen.words.emplace_back("all");
    const auto apps = co_await daemon.call<AppList>("list apps", chosen);
    if (words.has("json"))
        std::cout << json_of(apps);
    else
        print(apps);
}

Task<> logs(Daemon daemon, std::vector<std::string> arguments) {
    const Words words(arguments, {{"-n", "lines"}, {"--lines", "lines"}, {"--grep", "grep"}},
                      {{"-f", "follow"}, {"--follow", "follow"}, {"--err", "err"}, {"--json", "json"}});
    Selection chosen{words.plain()};
    if (chosen.words.empty()) chosen.words.emplace_back("all");
    const auto lines = number_of<std::size_t>(words.value("lines", "20"));
    if (!lines) throw UsageError("'" + words.value("lines", "") + "' is no number of lines");
    Places places = co_await daemon.call<Places>("places of apps", chosen);
    LogWishes wishes{*lines, words.has("follow"), words.has("err"), words.has("json"), words.value("grep", "")};
    auto& io = static_cast<asio::io_context&>((co_await asio::this_coro::executor).context());
    co_await show_logs(io, std::move(places), std::move(wishes));
}

/// A command that takes apps and nothing else.
Task<> change(Daemon daemon, std::string action, std::vector<std::string> arguments) {
    const Words words(arguments, {}, {});
    const Selection chosen = selection_of(words);
    const auto apps = co_await daemon.call<AppList>(std::move(action), chosen);
    if (!apps.apps.empty()) print(apps);
}

Task<> scale(Daemon daemon, std::vector<std::string> arguments) {
    if (arguments.size() != 2) throw UsageError("scale needs an app and a number");
    const std::string& text = arguments[1];
    const bool relative = text.starts_with('+') || text.starts_with('-');
    const auto number = number_of<std::int32_t>(text.starts_with('+') ? text.substr(1) : text);
    if (!number) throw UsageError("'" + text + "' is no number of instances");
    const ScaleRequest request{{{arguments[0]}}, *number, relative};
    const auto apps = co_await daemon.call<AppList>("scale apps", request);
    print(apps);
}

Task<> send_signal(Daemon daemon, std::vector<std::string> arguments) {
    if (arguments.size() < 2) throw UsageError("signal needs a signal and an app");
    const SignalRequest request{{{arguments.begin() + 1, arguments.end()}}, signal_of(arguments[0])};
    [[maybe_unused]] const auto apps = co_await daemon.call<AppList>("signal apps", request);
}

Task<> end_daemon(Daemon daemon, std::vector<std::string> arguments) {
    if (!arguments.empty()) throw UsageError("kill ends the daemon; for an app there are stop and signal");
    const control::Nothing nothing{};
    [[maybe_unused]] const auto done = co_await daemon.call<control::Nothing>("end", nothing);
}

Task<> obey(asio::io_context& io, std::string command, std::vector<std::string> arguments) {
    static const std::map<std::string, Task<> (*)(Daemon, std::vector<std::string>)> commands{
        {"start", start}, {"list", list},          {"ls", list},        {"ps", list}, {"status", list}, {"logs", logs},
        {"scale", scale}, {"signal", send_signal}, {"kill", end_daemon}};
    static const std::map<std::string, std::string> changes{{"stop", "stop apps"},     {"restart", "restart apps"},
                                                            {"reload", "reload apps"}, {"delete", "delete apps"},
                                                            {"del", "delete apps"},    {"rm", "delete apps"}};
    const auto found = commands.find(command);
    const auto changed = changes.find(command);
    if (found == commands.end() && changed == changes.end())
        throw UsageError("'" + command + "' is no command; cohort help lists them");
    const Home home;
    Daemon daemon = co_await reach_daemon(io, home, command != "kill");
    if (found != commands.end())
        co_await found->second(std::move(daemon), std::move(arguments));
    else
        co_await change(std::move(daemon), changed->second, std::move(arguments));
}

/// What the daemon says stands for itself, without the code by which it has travelled.
std::string text_of(const std::system_error& error) {
    std::string text = error.what();
    const std::string tail = ": " + error.code().message();
    if (error.code() == Errc::call_failed && text.ends_with(tail)) text.resize(text.size() - tail.size());
    return text;
}

} // namespace

int run_command(const std::vector<std::string>& words) {
    const std::string command = words.empty() ? "help" : words.front();
    if (command == "help" || command == "--help" || command == "-h") {
        std::cout << usage;
        return 0;
    }
    if (command == "version" || command == "--version") {
        std::cout << "cohort " << COHORT_VERSION_STRING << '\n';
        return 0;
    }
    try {
        if (command == "daemon") return run_daemon();
        if (command == "supervise" && words.size() == 2)
            return supervise(number_of<std::uint32_t>(words[1]).value_or(0));
        asio::io_context io(1);
        std::exception_ptr failure;
        asio::co_spawn(io, obey(io, command, {words.begin() + 1, words.end()}),
                       [&failure](const std::exception_ptr& error) { failure = error; });
        io.run();
        if (failure) std::rethrow_exception(failure);
        return std::cout.flush() ? 0 : 1;
    } catch (const UsageError& error) {
        std::cerr << "cohort: " << error.what() << '\n';
        return 2;
    } catch (const std::system_error& error) {
        std::cerr << "cohort: " << text_of(error) << '\n';
        return 1;
    } catch (const std::exception& error) {
        std::cerr << "cohort: " << error.what() << '\n';
        return 1;
    }
}

} // namespace manager

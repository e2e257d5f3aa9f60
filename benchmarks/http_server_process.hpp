// SPDX-License-Identifier: MIT
// http_server as a process of its own, and a client that asks it once: what benchmarks of whole clusters share.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

inline constexpr timeval patience{2, 0};

// A client

enum class Outcome { answered, refused, reset, timed_out, wrong_answer };

struct Socket {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    Socket() {
        ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { ::close(fd); }
};

inline bool is_timeout() { return errno == EAGAIN || errno == EINPROGRESS; }

inline bool connect_to(const Socket& socket, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// What comes until the server ends the connection; false with errno when it ends otherwise.
inline bool read_all(const Socket& socket, std::string& text) {
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::recv(socket.fd, buffer, sizeof buffer, 0)) > 0)
        text.append(buffer, static_cast<std::size_t>(count));
    return count == 0;
}

/// One connection, one request. The server ends the connection, so that it is the one to keep TIME_WAIT.
inline Outcome ask(std::uint16_t port, std::string& answer) {
    static constexpr std::string_view request = "GET /worker HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    answer.clear();
    Socket socket;
    if (!connect_to(socket, port))
        return is_timeout() ? Outcome::timed_out : errno == ECONNRESET ? Outcome::reset : Outcome::refused;
    if (::send(socket.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return Outcome::reset;
    const bool ended = read_all(socket, answer);
    if (answer.ends_with("}\n") && answer.starts_with("HTTP/1.1 200 OK\r\n")) {
        return ended || !is_timeout() ? Outcome::answered : Outcome::timed_out;
    }
    if (!ended && is_timeout()) return Outcome::timed_out;
    return answer.empty() || !ended ? Outcome::reset : Outcome::wrong_answer;
}

/// Who has given this answer.
inline pid_t pid_in(const std::string& answer) {
    const std::size_t found = answer.find("\"pid\":");
    return found == std::string::npos ? 0 : std::atoi(answer.c_str() + found + 6);
}

// The server

inline std::vector<pid_t> children_of(pid_t pid) {
    const std::string id = std::to_string(pid);
    std::ifstream list("/proc/" + id + "/task/" + id + "/children");
    std::vector<pid_t> children;
    for (pid_t child = 0; list >> child;) children.push_back(child);
    return children;
}

inline bool is_zombie(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    file >> number >> name >> state;
    return state == "Z";
}

inline long resident_kib(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    long size = 0;
    long resident = 0;
    file >> size >> resident;
    return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

class Server {
public:
    Server(const std::string& program, const std::string& mode, unsigned workers) : workers_(workers) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(ends[1], STDOUT_FILENO);
            ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO); // it tells of each death
            ::execl(program.c_str(), program.c_str(), "--port", "0", "--workers", std::to_string(workers).c_str(),
                    "--mode", mode.c_str(), nullptr);
            ::_exit(127);
        }
        ::close(ends[1]);
        std::string line;
        for (char letter = 0; ::read(ends[0], &letter, 1) == 1 && letter != '\n';) line += letter;
        ::close(ends[0]);
        const std::string address = line.substr(0, line.find(','));
        if (address.empty()) throw std::runtime_error(program + " did not start");
        port_ = static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    pid_t pid() const { return pid_; }
    std::uint16_t port() const { return port_; }
    std::size_t descriptors() const {
        const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid_) + "/fd");
        return static_cast<std::size_t>(std::ranges::distance(all));
    }

    /// The least within some time: the master keeps copies of connections for a while.
    std::size_t settled_descriptors() const {
        std::size_t least = descriptors();
        for (const auto deadline = Clock::now() + 500ms; Clock::now() < deadline;) {
            std::this_thread::sleep_for(10ms);
            least = std::min(least, descriptors());
        }
        return least;
    }

    /// Until every slot has answered.
    bool all_serve() const {
        std::set<std::string> slots;
        std::string answer;
        const auto deadline = Clock::now() + 10s;
        while (slots.size() < workers_ && Clock::now() < deadline)
            if (ask(port_, answer) == Outcome::answered) slots.insert(answer.substr(answer.find("\"slot\":")));
        return slots.size() == workers_;
    }
    /// How many connections clients have opened, this question's included.
    std::uint64_t opened() const {
        Socket socket;
        const std::string request = "GET /opened HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        std::string answer;
        if (!connect_to(socket, port_) || ::send(socket.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0 ||
            !read_all(socket, answer) || answer.find("\r\n\r\n") == std::string::npos)
            throw std::runtime_error("GET /opened");
        return std::stoull(answer.substr(answer.find("\r\n\r\n") + 4));
    }
    int end() {
        ::kill(pid_, SIGTERM);
        int status = 0;
        ::waitpid(std::exchange(pid_, 0), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

private:
    unsigned workers_;
    pid_t pid_ = 0;
    std::uint16_t port_ = 0;
};

/// As many as the system lets this process have, and those that it starts.
inline void allow_many_descriptors() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

// The command line

struct Arguments {
    std::chrono::seconds time;
    std::vector<std::string> modes;
    std::string server =
        std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "examples/http_server";
};

/// Options with a value each; `own(name, value)` takes those that only one benchmark has. False: wrong.
template <class Own>
bool parse(Arguments& arguments, int argc, char** argv, Own own) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i];
        const char* const value = argv[i + 1];
        if (name == "--seconds")
            arguments.time = std::chrono::seconds(std::atoi(value));
        else if (name == "--mode")
            arguments.modes = {value};
        else if (name == "--server")
            arguments.server = value;
        else if (!own(name, value))
            return false;
    }
    return argc % 2 != 0;
}

/// One mode after the other: `run(mode)` says whether what is promised holds. The exit code.
template <class Run>
int run_modes(const char* benchmark, const Arguments& arguments, Run run) {
    bool holds = true;
    try {
        for (const std::string& mode : arguments.modes) holds = run(mode) && holds;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", benchmark, error.what());
        return 2;
    }
    return holds ? 0 : 1;
}

// SPDX-License-Identifier: MIT
#include "terminal.hpp"

#include "child.hpp"
#include "process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace test {

namespace {

pid_t job_of_shell = 0;

void tell_job(int) {
    ::kill(-job_of_shell, SIGHUP);
    ::_exit(0);
}

} // namespace

Terminal::Terminal(Job how, Shell shell, std::string program, std::vector<std::string> args)
    : terminal_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    int ends[2];
    if (terminal_ < 0 || ::grantpt(terminal_) != 0 || ::unlockpt(terminal_) != 0 || ::pipe2(ends, O_CLOEXEC) != 0)
        throw std::runtime_error("no pseudo terminal");
    shell_ = fork_mortal();
    if (shell_ == 0) be_shell(how, shell, program, args, ends[1]);
    ::close(ends[1]);
    [[maybe_unused]] const auto got = ::read(ends[0], &job_, sizeof job_);
    ::close(ends[0]);
    if (job_ <= 0) throw std::runtime_error("the shell has no job");
}

Terminal::~Terminal() {
    close();
    if (job_ > 0) ::kill(job_, SIGKILL);
    if (shell_ <= 0) return;
    ::kill(shell_, SIGKILL);
    ::waitpid(shell_, nullptr, 0);
}

void Terminal::be_shell(Job how, Shell shell, std::string& program, std::vector<std::string>& args, int told) {
    ::setsid();
    const int terminal = ::open(::ptsname(terminal_), O_RDWR | O_CLOEXEC);
    ::close(terminal_); // else it would never be gone
    ::ioctl(terminal, TIOCSCTTY, 0);
    termios settings{};
    ::tcgetattr(terminal, &settings);
    settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (how == Job::background_tostop) settings.c_lflag |= TOSTOP;
    ::tcsetattr(terminal, TCSANOW, &settings);
    ::signal(SIGTTOU, SIG_IGN); // so that it may say who is in the foreground
    job_of_shell = ::fork();
    if (job_of_shell == 0) be_job(how, terminal, program, args);
    if (how != Job::own_session) ::setpgid(job_of_shell, job_of_shell);
    if (how == Job::foreground) ::tcsetpgrp(terminal, job_of_shell);
    if (shell == Shell::bash && how != Job::own_session) ::signal(SIGHUP, tell_job);
    if (::write(told, &job_of_shell, sizeof job_of_shell) < 0) ::_exit(98);
    ::_exit(wait_for(job_of_shell));
}

void Terminal::be_job(Job how, int terminal, std::string& program, std::vector<std::string>& args) {
    if (how == Job::own_session)
        ::setsid();
    else
        ::setpgid(0, 0);
    if (how == Job::foreground) ::tcsetpgrp(terminal, ::getpid());
    ::signal(SIGTTOU, SIG_DFL);
    if (how == Job::nohup) ::signal(SIGHUP, SIG_IGN);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(terminal, fd);
    std::vector<char*> argv{program.data()};
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    ::alarm(60);
    ::execv(program.c_str(), argv.data());
    ::_exit(97);
}

std::string Terminal::after(const std::string& text) {
    for (;;) {
        const std::size_t found = screen_.find(text);
        const std::size_t end = found == screen_.npos ? found : screen_.find('\n', found);
        if (end != screen_.npos) {
            const std::size_t begin = found + text.size();
            const std::string line = screen_.substr(begin, screen_.find_last_not_of('\r', end - 1) + 1 - begin);
            screen_.erase(0, end + 1);
            return line;
        }
        char buffer[4096];
        if (!readable_within(terminal_, std::chrono::seconds(20))) throw std::runtime_error("the screen stays dark");
        const ssize_t count = ::read(terminal_, buffer, sizeof buffer);
        if (count <= 0) throw std::runtime_error("'" + text + "' is not on the screen: " + screen_);
        screen_.append(buffer, static_cast<std::size_t>(count));
    }
}

void Terminal::type(char key) const {
    if (::write(terminal_, &key, 1) != 1) throw std::runtime_error("cannot type");
}

void Terminal::close() {
    if (terminal_ >= 0) ::close(std::exchange(terminal_, -1));
}

int Terminal::wait() { return wait_for(std::exchange(shell_, 0)); }

} // namespace test

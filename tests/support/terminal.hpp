// SPDX-License-Identifier: MIT
// A terminal with a shell and one job in it, as a user has it who starts a program there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace test {

/// How the program is started.
enum class Job {
    foreground,
    background,
    background_tostop, ///< after `stty tostop`
    nohup,             ///< in the background, with nohup(1) but its output on the terminal
    own_session,       ///< setsid(1)
};

/// What the shell does when the terminal goes.
enum class Shell {
    plain, ///< it ends: the kernel tells the foreground
    bash,  ///< it tells its job, and ends
};

/// A pseudo terminal (pty(7)). Whatever runs in it is killed when this goes.
class Terminal {
public:
    Terminal(Job how, Shell shell, std::string program, std::vector<std::string> args);
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    ~Terminal();

    pid_t job() const noexcept { return job_; }
    /// What follows `text` on its line on the screen; throws when it does not come.
    std::string after(const std::string& text);
    void type(char key) const;
    /// As when its window is closed.
    void close();
    /// The job's exit code, which its shell has seen; not after close().
    int wait();

private:
    [[noreturn]] void be_shell(Job how, Shell shell, std::string& program, std::vector<std::string>& args, int told);
    static void be_job(Job how, int terminal, std::string& program, std::vector<std::string>& args);

    int terminal_;
    pid_t shell_ = 0;
    pid_t job_ = 0;
    std::string screen_;
};

} // namespace test

// SPDX-License-Identifier: MIT
// What this process was started with: its program, folder, arguments and descriptors (layer 2).
#pragma once

#include <span>
#include <string>
#include <vector>

#include <sys/stat.h>

namespace cohort::detail {

/// Opens those of the descriptors 0 to 2 that are closed, as /dev/null: otherwise the next file that is opened would
/// get what is written to standard output. Done before main(), and again when a master begins.
void open_standard_descriptors() noexcept;

/// The command line as it is now: a program may write over its arguments, as to hide a password. Empty: there is no
/// /proc (proc(5), /proc/self/cmdline).
std::vector<std::string> arguments_now();

/// What this process was started with; read before main().
const std::vector<std::string>& own_arguments();

/// A folder by its name, and which one that was.
struct NamedFolder {
    std::string name;
    struct stat status {};
};

/// Where this process was started, as the shell named it (PWD): a path through symbolic links that may lead elsewhere
/// by now, as `current/` does after a new release. Read before main().
const NamedFolder& folder_at_start();

/// What this process was started from, as it was named (getauxval(3), AT_EXECFN), read before main(): another file may
/// have that name by now, or a symbolic link in it may lead elsewhere.
const std::string& own_program();

/// Whether SIGHUP was ignored when this process was started, as by nohup(1): it is to outlive its terminal.
bool ignored_hangup_at_start();

/// Unless the working folder was changed since the start, it becomes what the name of folder_at_start() leads to now.
void follow_folder() noexcept;

/// For a program that is to replace this one: closes all descriptors but the standard streams, those of `keep`, and
/// those that this program was started with itself, as by systemd, where they are still the same. What a program has
/// opened without O_CLOEXEC would be handed on from master to master, one more each time.
void close_opened(std::span<const int> keep);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/process_start.ipp>
#endif

// SPDX-License-Identifier: MIT
// ControlPlane: a master's control socket, as its supervisor sees it (layer 4).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/task.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace cohort::detail {

class Supervisor;

/// Something that a master does when it is asked to from outside; argument and result are encoded.
struct ControlAction {
    std::uint64_t takes = 0; // schema_hash() of the argument
    std::uint64_t gives = 0; // and of the result
    std::function<Task<std::vector<std::byte>>(std::vector<std::byte> argument)> run;
};

class ControlPlane {
public:
    virtual ~ControlPlane() = default;
    /// Throws EEXIST, as std::system_error: the name is taken.
    virtual void add(std::string name, ControlAction action) = 0;
    /// Accepts from now on.
    virtual void begin() = 0;
    /// The socket, for the master that follows.
    virtual int listener() const noexcept = 0;
    /// It accepts there from now on; who is connected here stays.
    virtual void pass_on() noexcept = 0;
    /// No worker is left: once what was asked for is answered, this ends.
    virtual void finish() = 0;
    /// The master is no more: nothing may be asked of it.
    virtual void close() noexcept = 0;
};

/// `inherited`: the listening socket of the master before, if it had one of the same path. Throws std::system_error.
using OpenControl = std::shared_ptr<ControlPlane> (*)(Supervisor& supervisor, UniqueFd inherited);

/// Set where <cohort/control.hpp> is included: programs that have no use for it need not compile it.
inline OpenControl open_control = nullptr;

} // namespace cohort::detail

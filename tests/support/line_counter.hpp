// SPDX-License-Identifier: MIT
// A worker with a protocol of its own, whose connections go on elsewhere when it leaves: each line is answered with the
// worker's id and how many have come on this connection, whoever served them.
#pragma once

#include "client.hpp"

#include <string>

namespace test {

Task<> count_lines(WorkerBase& self, Listener& listener, Socket socket);

/// Ends when all that it has is given to others, or ended by its clients.
Task<> line_counter(WorkerBase& self);

Task<std::string> say_and_hear(Client& client);

} // namespace test

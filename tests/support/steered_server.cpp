// SPDX-License-Identifier: MIT
#include "steered_server.hpp"

#include "http_client.hpp"

#include <stop_token>

namespace test {

SteeredServer::SteeredServer(bool has_log)
    : example("http_server",
              {"--port", "0", "--workers", "2", "--mode", mode, "--control", path, "--log", has_log ? log : ""}),
      port(example.port_after("http_server: listening on ")) {}

BusyClients::BusyClients(std::uint16_t port, int count) {
    const auto keep_asking = [this, port](const std::stop_token& stop) {
        HttpClient client(port);
        while (!stop.stop_requested())
            if (client.get("/").status != 200) ++failed_;
    };
    for (int i = 0; i != count; ++i) clients_.emplace_back(keep_asking);
}

int BusyClients::stop() {
    clients_.clear();
    return failed_;
}

} // namespace test

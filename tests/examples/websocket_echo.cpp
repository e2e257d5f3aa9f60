// SPDX-License-Identifier: MIT
// The example of a WebSocket server, asked by a client that others have written.
#include "support/example.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <string>

namespace {

constexpr const char* websocket_client = R"(
import asyncio, sys, websockets

async def main(uri):
    async with websockets.connect(uri, max_size=None) as socket:
        for size in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20):
            for message in ("x" * size, b"\0" * size):
                await socket.send(message)
                assert await socket.recv() == message, size
        await socket.send(["frag", "men", "ted"])
        assert await socket.recv() == "fragmented"
        await (await socket.ping(b"are you there"))
    assert socket.close_code == 1000, socket.close_code

    async with websockets.connect(uri) as socket:
        try:
            await socket.send("x" * ((1 << 20) + 1))
        except websockets.ConnectionClosed:
            pass  # the answer may be faster than the message
        await socket.wait_closed()
        assert socket.close_code == 1009, socket.close_code

    async with websockets.connect(uri) as socket:
        await socket.send("still here")
        assert await socket.recv() == "still here"
        print("connected", flush=True)
        await socket.wait_closed()
        assert socket.close_code == 1001, socket.close_code
    print("told", flush=True)

asyncio.run(asyncio.wait_for(main("ws://127.0.0.1:" + sys.argv[1] + "/echo"), 60))
)";

TEST_CASE("WebSocket messages come back, and a server that stops says so") {
    test::Example server("websocket_echo", {"127.0.0.1:0"}, test::Output::out);
    const std::uint16_t port = server.port_after("listening on ");
    // Debian's Python has Debian's modules, whichever comes first in the path.
    test::Example visitor("/usr/bin/python3", {"-c", websocket_client, std::to_string(port)});
    CHECK(visitor.line() == "connected");
    server.signal(SIGTERM);
    CHECK(visitor.rest() == "told\n");
    CHECK(visitor.wait() == cohort::ExitStatus::exited(0));
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
}

} // namespace

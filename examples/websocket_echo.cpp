// WebSockets (RFC 6455) on the upgrade hook of the HTTP server: every message comes back to whoever sent it.
// Run:    websocket_echo [PORT]   (3000 by default), then, in the console of a browser that shows
// http://localhost:3000/:
//         s = new WebSocket("ws://localhost:3000/echo"); s.onmessage = m => console.log(m.data); s.onopen = () =>
//         s.send("hi")
// Expect: "hi". Ctrl-C says goodbye to whoever is connected (1001) and stops it.

#include <cohort.hpp>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <iostream>

using namespace cohort;

struct Nothing {};
using App = Master<Nothing>;

constexpr unsigned close_frame = 8, ping_frame = 9, pong_frame = 10;

struct Frame {
    unsigned first = 0; // FIN, three reserved bits, opcode
    std::string payload;

    unsigned opcode() const { return first & 15; }
};

/// Big-endian, as everything in a frame is.
std::string in_bytes(std::uint64_t number, int count) {
    std::string bytes;
    while (count-- > 0) bytes += static_cast<char>(number >> (8 * count));
    return bytes;
}

class WebSocket {
public:
    explicit WebSocket(http::Upgraded& connection) : connection_(connection) {}

    /// The next frame; nothing at the end, however that comes.
    Task<std::optional<Frame>> receive() {
        Frame frame;
        bool there = co_await fill(2);
        if (!there) co_return std::nullopt;
        frame.first = octet(0);
        const unsigned second = octet(1);
        const bool is_masked = (second & 128) != 0;
        std::size_t length = second & 127;
        const std::size_t more = length == 127 ? 8 : length == 126 ? 2 : 0;
        there = co_await fill(2 + more);
        if (more != 0) length = 0;
        for (std::size_t i = 0; i != more && there; ++i) length = length << 8 | octet(2 + i);
        const unsigned fault = !is_masked || (frame.first & 0x70) != 0 ? 1002 : length > longest ? 1009 : 0;
        if (there && fault != 0) co_await say_goodbye(fault);
        if (!there || fault != 0) co_return std::nullopt;
        const std::size_t header = 2 + more + 4;
        there = co_await fill(header + length);
        if (!there) co_return std::nullopt;
        frame.payload = buffer_.substr(header, length);
        for (std::size_t i = 0; i != length; ++i) frame.payload[i] ^= buffer_[header - 4 + i % 4];
        buffer_.erase(0, header + length);
        co_return frame;
    }

    Task<> send(unsigned first, std::string payload) {
        const std::size_t size = payload.size();
        std::string bytes = in_bytes(first, 1);
        if (size < 126) bytes += in_bytes(size, 1);
        if (size >= 126 && size < 65536) bytes += in_bytes(126, 1) + in_bytes(size, 2);
        if (size >= 65536) bytes += in_bytes(127, 1) + in_bytes(size, 8);
        bytes += payload;
        co_await connection_.write(bytes);
    }

private:
    static constexpr std::size_t longest = 1 << 20;

    Task<> say_goodbye(unsigned reason) {
        std::string payload = in_bytes(reason, 2);
        co_await send(0x80 | close_frame, std::move(payload));
    }

    unsigned octet(std::size_t at) const { return static_cast<unsigned char>(buffer_[at]); }

    /// Reads until so many bytes are there; false at the end. A server that stops tells the client, which answers.
    Task<bool> fill(std::size_t count) {
        while (buffer_.size() < count) {
            const auto bytes = co_await connection_.read();
            if (bytes) buffer_.append(*bytes);
            if (!bytes && (told_ || !connection_.draining())) co_return false;
            if (!bytes) co_await say_goodbye(1001);
            told_ = told_ || !bytes;
        }
        co_return true;
    }

    http::Upgraded& connection_;
    std::string buffer_;
    bool told_ = false;
};

Task<> echo(http::Upgraded& connection) {
    WebSocket socket(connection);
    while (auto frame = co_await socket.receive()) {
        if (frame->opcode() == pong_frame) continue;
        const unsigned first = frame->opcode() == ping_frame ? 0x80 | pong_frame : frame->first;
        co_await socket.send(first, std::move(frame->payload));
        if (frame->opcode() == close_frame) co_return;
    }
}

/// Section 4.2.2: proves that this server has understood what it was asked.
std::string accept_key(std::string_view key) {
    const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, SHA_DIGEST_LENGTH> hash{};
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
    std::array<unsigned char, 29> base64{};
    EVP_EncodeBlock(base64.data(), hash.data(), SHA_DIGEST_LENGTH);
    return reinterpret_cast<const char*>(base64.data());
}

Task<http::Response> greet(const http::Request& request) {
    const auto key = request.header("sec-websocket-key");
    if (request.upgrade() && (!key || request.header("sec-websocket-version") != "13"))
        co_return http::status(400).add("Sec-WebSocket-Version", "13");
    co_return http::upgrade("websocket", echo).add("Sec-WebSocket-Accept", accept_key(key.value_or("")));
}

Task<http::Response> page(const http::Request&) { co_return http::html("<!doctype html><title>Echo</title>\n"); }

Task<> serve(App::Worker& self) {
    http::Router<App::Worker> router;
    router.get("/", page).get("/echo", greet);
    auto listener = co_await self.listen(self.args().at(0));
    std::cout << "listening on " << listener.endpoint().to_string() << std::endl;
    co_await http::serve(self, listener, router);
}

int main(int argc, char** argv) {
    return run<App>({.workers = 1, .worker = {.args = {argc > 1 ? argv[1] : "3000"}}}, serve);
}

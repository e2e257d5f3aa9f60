// SPDX-License-Identifier: MIT
// MessageStream: a FrameStream whose sides have told each other what they send (layer 3).
#pragma once

#include <cohort/detail/frame_stream.hpp>
#include <cohort/detail/type_name.hpp>
#include <cohort/serialize.hpp>

#include <asio/this_coro.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace cohort::detail {

/// What is known of a message type without having it.
struct Schema {
    std::uint64_t hash = 0;
    std::string_view name; ///< for people

    template <class T>
    static constexpr Schema of() {
        return {schema_hash<T>(), type_name<T>().substr(0, max_hello / 2)};
    }
};

/// Payload of the hello frame.
struct Greeting {
    std::uint64_t hash = 0;
    std::string name;
};

/// All of a channel that does not depend on its message types: the greeting, and the wait for a message.
class MessageStream : public FrameStream {
public:
    MessageStream(const asio::any_io_executor& executor, UniqueFd socket, StreamLimits limits, Schema incoming)
        : FrameStream(executor, std::move(socket), limits), incoming_(incoming) {}

    /// Made, and its greeting is on the way.
    static std::shared_ptr<MessageStream> open(const asio::any_io_executor& executor, UniqueFd socket,
                                               StreamLimits limits, Schema outgoing, Schema incoming) {
        auto stream = std::make_shared<MessageStream>(executor, std::move(socket), limits, incoming);
        stream->push(FrameKind::hello, [&](Buffer& out) {
            encode(Greeting{outgoing.hash, std::string(outgoing.name)}, out);
        });
        return stream;
    }

    /// Queues the message that `fill(Buffer&)` writes, when called; waits while too much is queued.
    template <class Fill>
    Task<> send(Fill&& fill) {
        if (can_send()) push(FrameKind::message, std::forward<Fill>(fill));
        return can_send() && has_room() ? done() : room();
    }

    /// Whether a whole message has been read. Throws when the other side sends another type, or nonsense.
    bool has_message();
    /// The message that has_message() saw, valid until it is consumed.
    Frame message();
    /// Waits until there is one. False: the other side has ended. Between the end of the wait and the next suspension
    /// of the caller nothing can take the message away, nor can the caller be cancelled.
    Task<bool> arrival();

private:
    void check_greeting(const Frame& frame);
    static Task<> done() { co_return; }

    Schema incoming_;
    bool greeted_ = false;
};

inline void MessageStream::check_greeting(const Frame& frame) {
    Greeting greeting;
    if (frame.header.kind != FrameKind::hello) throw std::system_error(make_error_code(Errc::bad_frame));
    if (const auto error = decode(frame.payload, greeting)) throw std::system_error(error);
    if (greeting.hash != incoming_.hash)
        throw std::system_error(make_error_code(Errc::schema_mismatch),
                                "expected " + std::string(incoming_.name) + ", the other side sends " + greeting.name);
    greeted_ = true;
}

inline bool MessageStream::has_message() {
    auto frame = front();
    if (frame && !greeted_) {
        check_greeting(*frame);
        consume(*frame);
        frame = front();
    }
    return frame.has_value();
}

inline Frame MessageStream::message() {
    const Frame frame = *front();
    if (frame.header.kind != FrameKind::message) throw std::system_error(make_error_code(Errc::bad_frame));
    return frame;
}

inline Task<bool> MessageStream::arrival() {
    const auto self = shared_from_this();
    const bool steady = co_await switched();
    if (!steady) co_await asio::post(asio::use_awaitable);
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (has_message()) co_return true;
        const bool more = co_await fill();
        if (!more) co_return false;
    }
}

} // namespace cohort::detail

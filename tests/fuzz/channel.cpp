// SPDX-License-Identifier: MIT
// A libFuzzer target: a channel whose other side, and whose own program, do what the input says. Nothing may crash,
// leak, hang, keep descriptors or hold more than its limits, and what the channel itself says must be well-formed.
//
//     tests/fuzz/run.sh          builds all targets and runs them for a while
#include "target.hpp"

#include <cohort/detail/channel/message_stream.hpp>
#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/handle.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <utility>

namespace fuzz {

namespace detail = cohort::detail;
using cohort::Task;

namespace {

struct Note {
    std::uint32_t number = 0;
    std::string text;
    std::vector<cohort::Handle> files;
};

/// A Note as bytes, with a 1 for each descriptor.
struct NoteBytes {
    std::uint32_t number = 0;
    std::string text;
    std::vector<std::uint8_t> files;
};

/// The kernel's part, without the kernel: what is there to read, and how much is taken.
struct Wire {
    struct Set {
        std::size_t position; ///< of its frame in `incoming`
        detail::Passed passed;
    };

    std::string incoming;
    std::size_t read = 0;
    std::deque<Set> sets;
    std::size_t piece = 1; ///< bytes of one read at most
    bool ended = false;
    int read_error = 0;

    std::string written;
    std::size_t room = std::string::npos; ///< bytes that are taken before EAGAIN
    int write_error = 0;
    std::optional<detail::Action> on_room;

    detail::UniqueFd other; ///< wakes the stream; its end is the end of the other process
    bool awake = false;

    bool has_something() const { return read != incoming.size() || ended || read_error != 0; }
    void wake() {
        if (!awake && other) awake = ::send(other.get(), "w", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
    }
    void make_room() {
        if (const auto then = std::exchange(on_room, std::nullopt)) (*then)();
    }
};

class ScriptedTransport final : public detail::Transport {
public:
    ScriptedTransport(const asio::any_io_executor& executor, detail::UniqueFd socket, Wire& wire)
        : Transport(executor, std::move(socket)), wire_(wire) {}

    ssize_t write(std::span<const std::byte> bytes, std::span<const int>) noexcept override {
        const std::size_t count = std::min(bytes.size(), wire_.room);
        if (wire_.write_error != 0 || count == 0) {
            errno = wire_.write_error != 0 ? wire_.write_error : EAGAIN;
            return -1;
        }
        wire_.written.append(reinterpret_cast<const char*>(bytes.data()), count);
        if (wire_.room != std::string::npos) wire_.room -= count;
        return static_cast<ssize_t>(count);
    }
    ssize_t read(std::span<std::byte> room, std::list<detail::Passed>& passed) override {
        char token = 0;
        if (std::exchange(wire_.awake, false)) static_cast<void>(::recv(socket().get(), &token, 1, MSG_DONTWAIT));
        const std::size_t count = std::min({room.size(), wire_.piece, wire_.incoming.size() - wire_.read});
        if (count == 0) {
            errno = wire_.read_error != 0 ? wire_.read_error : EAGAIN;
            return wire_.ended ? 0 : -1;
        }
        std::memcpy(room.data(), wire_.incoming.data() + wire_.read, count);
        wire_.read += count;
        for (; !wire_.sets.empty() && wire_.sets.front().position < wire_.read; wire_.sets.pop_front())
            passed.push_back(std::move(wire_.sets.front().passed));
        return static_cast<ssize_t>(count);
    }
    bool may_wait_to_read() noexcept override { return !wire_.has_something(); }
    void wait_writable(detail::Action then) override { wire_.on_room = std::move(then); }
    bool wait_writable_now(std::chrono::milliseconds) noexcept override {
        wire_.room = std::string::npos;
        return wire_.write_error == 0;
    }
    void end_writing() noexcept override {}

private:
    Wire& wire_;
};

class Conversation {
public:
    Conversation(asio::io_context& io, Script script);
    Conversation(const Conversation&) = delete;
    Conversation& operator=(const Conversation&) = delete;
    ~Conversation();

    void run();

private:
    struct Stream : detail::MessageStream {
        using MessageStream::MessageStream;
        std::size_t held() const { return received().size(); }
    };
    struct Running {
        asio::cancellation_signal signal;
        bool done = false;
    };

    static constexpr detail::StreamLimits limits{.max_length = 2048, .high_water = 256, .unreceived = 1024};
    static constexpr cohort::SerializeLimits note_limits{.bytes = limits.max_length};
    static constexpr std::size_t most_bytes = 24 << 10;
    static constexpr std::size_t largest_piece = 2048;
    /// Of bytes read: one frame that is not whole yet, or what nobody receives; and then one more read.
    static constexpr std::size_t most_held = limits.max_length + sizeof(detail::FrameHeader) + largest_piece;
    static constexpr std::size_t most_tasks = 24;

    void step(std::uint8_t action);
    void hello();
    void feed(std::string_view bytes);
    void feed_frame(detail::FrameHeader header, std::string_view payload);
    void feed_note(detail::FrameHeader header);
    detail::FrameHeader next_header();
    void pass_descriptors();
    void call(std::uint8_t timeout);
    void answer(std::uint8_t how);
    void end(std::uint8_t how);
    void other_end(std::uint8_t how);
    void change_writing(std::uint8_t how);
    void take_now();
    void poll();
    void finish();
    void check_written() const;

    auto filling(std::size_t size) {
        return [this, size](detail::Buffer& out, std::vector<int>& descriptors) {
            Note note{++number_, std::string(size, 'n'), {}};
            if (size % 16 == 15) note.files.push_back(cohort::Handle::copy_of(stream_->native_handle()));
            cohort::encode(note, out, note_limits, &descriptors);
        };
    }
    static Task<> receive(Conversation& self, bool again);
    static Task<> reply(std::shared_ptr<detail::PendingReply<Note>> pending, std::chrono::nanoseconds timeout);
    void spawn(Task<> task);

    asio::io_context& io_;
    Script script_;
    Wire wire_;
    std::uint8_t setting_;
    std::shared_ptr<Stream> stream_;
    std::deque<Running> tasks_;
    std::deque<std::shared_ptr<detail::ServedCall>> calls_;
    std::string last_fed_;
    std::uint16_t announced_ = 0; // descriptors of the next frame
    std::uint32_t number_ = 0;
    bool drained_ = false;
};

Conversation::Conversation(asio::io_context& io, Script script) : io_(io), script_(script), setting_(script_.next()) {
    const std::uint8_t piece = script_.next();
    wire_.piece = piece == 0 ? largest_piece : piece;
    auto [mine, other] = detail::make_socketpair(SOCK_STREAM);
    wire_.other = std::move(other);
    stream_ = std::make_shared<Stream>(io.get_executor(),
                                       std::make_unique<ScriptedTransport>(io.get_executor(), std::move(mine), wire_),
                                       limits, detail::Schema::of<Note>());
    hello();
    if (setting_ & 1) feed_frame({.kind = detail::FrameKind::hello}, last_fed_);
    if (setting_ & 2) spawn(receive(*this, true));
    if (setting_ & 4) call(8);
}

/// Our greeting; the other side's is the same.
void Conversation::hello() {
    stream_->push(detail::FrameKind::hello, 0, [&](detail::Buffer& out, std::vector<int>&) {
        cohort::encode(detail::Greeting{cohort::schema_hash<Note>(), "Note"}, out);
        last_fed_.assign(reinterpret_cast<const char*>(out.data()) + sizeof(detail::FrameHeader),
                         out.size() - sizeof(detail::FrameHeader));
    });
}

Conversation::~Conversation() {
    const std::weak_ptr<Stream> stream = stream_;
    finish();
    calls_.clear();
    stream_.reset();
    poll();
    require(stream.expired(), "nothing keeps a closed stream");
    check_written();
}

void Conversation::run() {
    while (!script_.done()) {
        const std::uint8_t action = script_.next();
        try {
            step(action & 15);
        } catch (const std::system_error&) {
            // Each of the functions called may say that it failed.
        }
        if ((action & 16) == 0) poll();
        require(drained_ || stream_->held() <= most_held, "what nobody receives is bounded");
    }
}

void Conversation::step(std::uint8_t action) {
    switch (action) {
        case 0: return feed(script_.take(script_.next()));
        case 1: {
            const auto header = next_header();
            return feed_frame(header, script_.take(script_.next()));
        }
        case 2:
        case 3: return feed_note(next_header());
        case 4:
            for (int times = script_.next() % 64; times > 0; --times) feed(last_fed_);
            return;
        case 5: return call(script_.next());
        case 6: {
            const std::uint8_t which = script_.next();
            if (which < tasks_.size() && !tasks_[which].done)
                tasks_[which].signal.emit(asio::cancellation_type::terminal);
            return;
        }
        case 7: return spawn(stream_->send(filling(8u * script_.next())));
        case 8: return spawn(detail::answer_of(stream_->send_acked(filling(script_.next())), std::chrono::hours(1)));
        case 9: return spawn(receive(*this, script_.next() % 2 != 0));
        case 10: return answer(script_.next());
        case 11: return take_now();
        case 12: return change_writing(script_.next());
        case 13: return pass_descriptors();
        case 14: return end(script_.next());
        default: return other_end(script_.next());
    }
}

// The other side

void Conversation::feed(std::string_view bytes) {
    if (wire_.incoming.size() + bytes.size() > most_bytes) return;
    if (bytes.data() != last_fed_.data()) last_fed_ = bytes;
    wire_.incoming += bytes;
    wire_.wake();
}

detail::FrameHeader Conversation::next_header() {
    detail::FrameHeader header;
    header.kind = static_cast<detail::FrameKind>(script_.next() % 11);
    header.descriptors = std::exchange(announced_, std::uint16_t{0});
    header.correlation = script_.next();
    return header;
}

void Conversation::feed_frame(detail::FrameHeader header, std::string_view payload) {
    header.length = static_cast<std::uint32_t>(payload.size());
    std::string frame(sizeof header, '\0');
    std::memcpy(frame.data(), &header, sizeof header);
    feed(frame += payload);
}

void Conversation::feed_note(detail::FrameHeader header) {
    detail::Buffer payload;
    const NoteBytes note{++number_, std::string(script_.next(), 't'),
                         std::vector<std::uint8_t>(header.descriptors, std::uint8_t{1})};
    if (detail::bears_message(header.kind)) cohort::encode(note, payload);
    feed_frame(header, {reinterpret_cast<const char*>(payload.data()), payload.size()});
}

/// They come with the next byte; how many its frame announces is another matter.
void Conversation::pass_descriptors() {
    const std::uint8_t what = script_.next();
    const int repeat = what & 64 ? script_.next() : 1;
    announced_ = what & 3;
    for (int i = 0; i < repeat; ++i) {
        detail::Passed passed;
        passed.lost = (what & 4) != 0;
        for (int count = repeat == 1 ? (what >> 3) & 3 : 0; count > 0; --count)
            passed.descriptors.emplace_back(what & 32 ? ::dup(wire_.other.get()) : -1);
        wire_.sets.push_back({wire_.incoming.size(), std::move(passed)});
    }
}

void Conversation::other_end(std::uint8_t how) {
    if (how & 1)
        wire_.ended = true;
    else
        wire_.read_error = how & 2 ? ECONNRESET : ENOMEM;
    wire_.wake();
    if (how & 4) wire_.other.reset();
}

void Conversation::change_writing(std::uint8_t how) {
    wire_.room = how < 200 ? how : std::string::npos;
    if (how >= 250) wire_.write_error = how % 2 != 0 ? EPIPE : ECONNRESET;
    wire_.make_room();
}

// This side

void Conversation::call(std::uint8_t timeout) {
    const auto time = std::chrono::nanoseconds(timeout < 8 ? timeout : 1'000'000'000'000);
    spawn(reply(stream_->call<Note>(note_limits, filling(timeout)), time));
}

Task<> Conversation::reply(std::shared_ptr<detail::PendingReply<Note>> pending, std::chrono::nanoseconds timeout) {
    const Note note = co_await detail::reply_of(std::move(pending), timeout);
    require(note.text.size() <= limits.max_length, "a reply keeps its limit");
}

Task<> Conversation::receive(Conversation& self, bool again) {
    const auto stream = self.stream_;
    do {
        const bool arrived = co_await stream->arrival();
        if (!arrived) break;
        self.take_now();
    } while (again);
}

void Conversation::take_now() {
    if (!stream_->has_message()) return;
    Note note;
    if (auto call = stream_->take(note, note_limits)) calls_.push_back(std::move(call));
    for (const auto& file : note.files) require(!file || ::fcntl(file.get(), F_GETFD) >= 0, "a Handle is open");
}

void Conversation::answer(std::uint8_t how) {
    if (calls_.empty()) return;
    const auto call = calls_[how % calls_.size()];
    if (how % 4 == 0) std::erase(calls_, call);
    if (how % 4 == 1) call->refuse(cohort::Errc::call_failed, std::string(how, 'w'));
    if (how % 4 > 1) spawn(call->reply(filling(how)));
}

void Conversation::end(std::uint8_t how) {
    switch (how % 8) {
        case 0: return stream_->end_messages();
        case 1: return stream_->finish();
        case 2: return stream_->close();
        case 3: return stream_->abort();
        case 4: drained_ = true; return stream_->drain();
        case 5: return stream_->flush_now(std::chrono::milliseconds(0));
        case 6: return spawn(stream_->flush());
        default: return spawn(stream_->room());
    }
}

void Conversation::spawn(Task<> task) {
    if (std::ranges::count(tasks_, false, &Running::done) >= static_cast<std::ptrdiff_t>(most_tasks)) return;
    Running& running = tasks_.emplace_back();
    asio::co_spawn(io_, std::move(task),
                   asio::bind_cancellation_slot(running.signal.slot(), [&running](std::exception_ptr error) {
                       running.done = true;
                       try {
                           if (error) std::rethrow_exception(error);
                       } catch (const std::system_error&) {
                           // Anything else is not for callers to see.
                       }
                   }));
}

void Conversation::poll() {
    io_.restart();
    io_.poll();
}

// The end

void Conversation::finish() {
    wire_.room = std::string::npos;
    wire_.make_room();
    if (setting_ & 8) {
        wire_.ended = true;
        wire_.wake();
        poll();
    }
    stream_->close();
    wire_.make_room();
    poll();
    require(std::ranges::all_of(tasks_, &Running::done), "every wait ends when its stream is closed");
}

/// What we say is well-formed, whatever was said to us.
void Conversation::check_written() const {
    detail::FrameReader reader(limits.max_length);
    auto bytes = std::as_bytes(std::span(wire_.written));
    std::error_code error;
    for (bool first = true; const auto frame = reader.next(bytes, error); first = false) {
        require((frame->header.kind == detail::FrameKind::hello) == first, "the greeting comes first, and once");
        bytes = bytes.subspan(sizeof(detail::FrameHeader) + frame->header.length);
    }
    require(!error, "what is written is frames");
}

} // namespace

void run(Script script) {
    static asio::io_context io(1);
    static const auto work = asio::make_work_guard(io);
    const int before = lowest_free_descriptor();
    Conversation(io, script).run();
    require(lowest_free_descriptor() == before, "no descriptor is left");
}

std::vector<std::string> seeds() {
    using namespace std::string_literals;
    return {
        // A call that is answered, behind messages that nobody has received; then the end.
        "\5\0\2\2\0\5\2\6\1\7\x0b\x0e\0\x0f\1"s,
        // The other side calls, is answered, cancels; what it sends comes byte by byte.
        "\1\1\2\5\7\3\2\5\x08\3\x09\1\x0a\2\1\x08\x08\0\x0a\0\2\x09\0\0"s,
        // Descriptors, some lost; writing that is held up; many messages.
        "\7\x10\x0d\x2a\2\2\1\4\x0d\x0e\2\2\1\4\x0c\3\7\x20\x08\x0f\x0c\xff\3\2\0\x40\4\x30\x06\0\x0e\2"s,
    };
}

} // namespace fuzz

// SPDX-License-Identifier: MIT
// control::Client: sees and steers a master from outside (layer 4).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/control/messages.hpp>
#include <cohort/detail/control_socket/encoded_value.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/serialize.hpp>
#include <cohort/task.hpp>
#include <cohort/timeout.hpp>

#include <asio/any_io_executor.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace cohort {

namespace detail {

using ControlChannel = Channel<Duplex<control::Request, control::Response>>;

/// Throws what the master says.
Task<std::vector<std::byte>> ask(std::shared_ptr<ControlChannel> channel, control::Request request, Timeout timeout);

template <class Result>
Task<Result> result_of(Task<std::vector<std::byte>> answer) {
    const std::vector<std::byte> bytes = co_await std::move(answer);
    co_return from_bytes<Result>(bytes);
}

} // namespace detail

namespace control {

/// A connection to the control socket of a master (Options::control). Requests may be sent while others are under way;
/// each is one call, and waits for as long as the master needs, unless it is cancelled: with asio's operators, or
/// call()'s timeout. Lives on one event loop.
///
///     auto client = co_await control::Client::connect(io.get_executor(), "/run/app/control");
///     const control::MasterStatus status = co_await client.status();
///     const control::Outcome outcome = co_await client.reload();
///
/// Errors, as std::system_error: Errc::closed, ECONNRESET, EPIPE: the master has ended, or has refused this user;
/// Errc::no_such_action, schema_mismatch: it is of another version, in which that is not, or is otherwise; those of the
/// Master's function of the same name; Errc::call_failed: an exception without a code, with its text.
class Client {
public:
    /// Errors: ENOENT, ECONNREFUSED: nobody listens there; EACCES; ENAMETOOLONG; Errc::bad_endpoint.
    [[nodiscard]] static Task<Client> connect(asio::any_io_executor executor, std::string path);

    [[nodiscard]] Task<MasterStatus> status() const { return call<MasterStatus>("status", Nothing{}); }
    [[nodiscard]] Task<Statistics> statistics() const { return call<Statistics>("statistics", Nothing{}); }
    /// Its options, as they are now.
    [[nodiscard]] Task<Description> describe() const { return call<Description>("describe", Nothing{}); }
    /// Also of a worker that is stuck.
    [[nodiscard]] Task<Requests> requests() const { return call<Requests>("requests", Nothing{}); }
    /// What has happened since this number, from 1 on; waits until there is something, or nothing more will come. To
    /// follow, ask for Events::next. The master that follows at an upgrade begins anew with 1; whoever asks it for a
    /// number that it has not reached gets all that it knows.
    [[nodiscard]] Task<Events> events(std::uint64_t from) const { return call<Events>("events", EventsFrom{from}); }

    /// What is known of the last workers that have crashed, 16 at most.
    [[nodiscard]] Task<Crashes> crashes() const { return call<Crashes>("crashes", Nothing{}); }

    /// As events(), for the lines of the log. The master has the last of each slot, 256 KiB in all; the file may have
    /// more. EOPNOTSUPP: Options::logs is not set.
    [[nodiscard]] Task<Logs> logs(std::uint64_t from) const { return call<Logs>("logs", LogsFrom{from}); }
    /// The last lines of a worker, which may have ended. Does not wait.
    [[nodiscard]] Task<Logs> last_logs(WorkerId worker, std::uint32_t most = 50) const {
        return call<Logs>("last logs", LogsOf{worker, most});
    }

    [[nodiscard]] Task<Outcome> reload() const { return call<Outcome>("reload", Nothing{}); }
    [[nodiscard]] Task<Outcome> upgrade() const { return call<Outcome>("upgrade", Nothing{}); }
    /// Replaces one worker, as Recycle does: its successor is ready before it leaves. Waits for a reload under way.
    /// Errc::no_such_worker: also of one that is leaving already.
    [[nodiscard]] Task<Outcome> restart(WorkerId worker) const { return call<Outcome>("restart", OfWorker{worker}); }
    /// Waits until the last worker has ended. Errc::stopping: the master has a successor, which is to be asked.
    [[nodiscard]] Task<Nothing> stop() const { return call<Nothing>("stop", Nothing{}); }
    [[nodiscard]] Task<Nothing> scale(std::uint32_t workers) const { return call<Nothing>("scale", Scale{workers}); }
    /// See Master::set.
    [[nodiscard]] Task<Nothing> set(Settings settings) const { return call<Nothing>("set", settings); }
    /// See Master::kill.
    [[nodiscard]] Task<Nothing> signal(WorkerId worker, int number) const {
        return call<Nothing>("signal", Signal{worker, number});
    }
    /// See Master::disconnect.
    [[nodiscard]] Task<Nothing> disconnect(WorkerId worker) const {
        return call<Nothing>("disconnect", OfWorker{worker});
    }

    /// An action of the program's own: control::on(). Also ETIMEDOUT.
    template <class Result, class Argument>
    [[nodiscard]] Task<Result> call(std::string action, const Argument& argument, Timeout timeout = {}) const {
        Request request{std::move(action), schema_hash<Argument>(), schema_hash<Result>(), detail::to_bytes(argument)};
        return detail::result_of<Result>(detail::ask(channel_, std::move(request), timeout));
    }

    /// Requests under way fail with Errc::closed.
    void close() { channel_->close(); }

private:
    explicit Client(std::shared_ptr<detail::ControlChannel> channel) noexcept : channel_(std::move(channel)) {}

    std::shared_ptr<detail::ControlChannel> channel_;
};

} // namespace control

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/control/client.ipp>
#endif

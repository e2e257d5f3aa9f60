// SPDX-License-Identifier: MIT
// ControlReader: what workers say on their control links, no faster than this process can bear (layer 4).
#pragma once

#include <cohort/detail/process/worker_record.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

namespace cohort::detail {

/// One more connection can be taken back although so many wait for a worker. One that arrives when no descriptor is
/// free is lost (unix(7), MSG_CTRUNC).
bool can_take_back(std::size_t waiting) noexcept;

/// A worker that leaves may have more connections to hand over than this process may have descriptors.
class ControlReader {
public:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    class Owner {
    public:
        /// Handles one packet of a worker.
        virtual void handle(WorkerRecord& record, Packet& packet) = 0;
        /// How many connections were given back and wait for somebody.
        virtual std::size_t waiting_connections() const = 0;

    protected:
        ~Owner() = default;
    };

    /// `patience`: how long the end of a worker waits for descriptors.
    ControlReader(asio::io_context& context, std::chrono::milliseconds patience, Owner& owner)
        : context_(context), patience_(patience), owner_(owner) {}

    /// Handles packets until the link has ended. Throws on a packet that is not valid.
    Task<> listen(RecordPtr record);
    /// For a process that has ended: handles what is still in the link. Throws as listen() does.
    Task<> finish(RecordPtr record);

private:
    bool must_slow_down(const WorkerRecord& record) const {
        if (record.is_over() || record.state != WorkerState::draining) return false;
        return record.link->has_arrived() && !can_take_back(owner_.waiting_connections());
    }
    Task<> slow_down();
    /// It may leave so many answers unread beyond what the socket holds: some hundreds.
    static constexpr std::size_t most_unread_answers = 128;

    void handle(WorkerRecord& record, Packet& packet);
    /// One packet, if one is here. Returns its size.
    std::size_t hear(WorkerRecord& record);

    asio::io_context& context_;
    std::chrono::milliseconds patience_;
    Owner& owner_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/control_reader.ipp>
#endif

// SPDX-License-Identifier: MIT
// All of cohort in one include; it holds nothing of its own (layer 5).
#pragma once

// The ground: errors, what waits, where connections come from
#include <cohort/acceptor.hpp>
#include <cohort/error.hpp>
#include <cohort/fwd.hpp>
#include <cohort/task.hpp>
#include <cohort/timeout.hpp>
#include <cohort/version.hpp>

// Starting a task beside others
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

// Plain data: what a program chooses, and what it is told
#include <cohort/counter.hpp>
#include <cohort/crash_report.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/event.hpp>
#include <cohort/exit_status.hpp>
#include <cohort/leadership.hpp>
#include <cohort/line_log.hpp>
#include <cohort/options.hpp>
#include <cohort/reload.hpp>
#include <cohort/stats.hpp>

// Messages
#include <cohort/blob.hpp>
#include <cohort/channel.hpp>
#include <cohort/channel_acceptor.hpp>
#include <cohort/duplex.hpp>
#include <cohort/handle.hpp>
#include <cohort/mail.hpp>
#include <cohort/serialize.hpp>
#include <cohort/subscription.hpp>
#include <cohort/transport.hpp>

// The cluster
#include <cohort/datagram_socket.hpp>
#include <cohort/listener.hpp>
#include <cohort/master.hpp>
#include <cohort/master_base.hpp>
#include <cohort/mode.hpp>
#include <cohort/mode/least_connections.hpp>
#include <cohort/mode/round_robin.hpp>
#include <cohort/mode/scheduled.hpp>
#include <cohort/mode/shared_listener.hpp>
#include <cohort/mode/shared_socket.hpp>
#include <cohort/mode/sticky.hpp>
#include <cohort/run.hpp>
#include <cohort/scheduler.hpp>
#include <cohort/scope.hpp>
#include <cohort/server_socket.hpp>
#include <cohort/worker.hpp>
#include <cohort/worker_base.hpp>

// HTTP
#include <cohort/http.hpp>
#include <cohort/monitoring.hpp>

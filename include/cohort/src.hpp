// SPDX-License-Identifier: MIT
// The bodies of all headers, for the one source file that COHORT_SEPARATE_COMPILATION needs (layer 5).
#pragma once

// Asio's are included. For parallel builds, COHORT_SOURCE_UNIT selects one unit, 1 to 4, or 5 for programs that include
// cohort/http/tls.hpp; when it is undefined, units 1 to 4 are compiled together.

#if !defined(COHORT_SEPARATE_COMPILATION)
#error "cohort/src.hpp: define COHORT_SEPARATE_COMPILATION, in every unit of the program"
#endif

#include <cohort/detail/config.hpp>

// Unit 1: Asio; system calls, messages, channels
#if !defined(COHORT_SOURCE_UNIT) || COHORT_SOURCE_UNIT == 1
#include <asio/impl/src.hpp>
#include <cohort/acceptor.ipp>
#include <cohort/blob.ipp>
#include <cohort/channel_acceptor.ipp>
#include <cohort/counter.ipp>
#include <cohort/crash_report.ipp>
#include <cohort/detail/async/action.ipp>
#include <cohort/detail/async/async_fd.ipp>
#include <cohort/detail/async/copy_guard.ipp>
#include <cohort/detail/async/expiry.ipp>
#include <cohort/detail/async/notifier.ipp>
#include <cohort/detail/async/own_listener.ipp>
#include <cohort/detail/async/spawn.ipp>
#include <cohort/detail/async/timer.ipp>
#include <cohort/detail/async/turn_budget.ipp>
#include <cohort/detail/channel/bus.ipp>
#include <cohort/detail/channel/bus_client.ipp>
#include <cohort/detail/channel/bus_connection.ipp>
#include <cohort/detail/channel/call.ipp>
#include <cohort/detail/channel/connect.ipp>
#include <cohort/detail/channel/encoded_message.ipp>
#include <cohort/detail/channel/frame_queue.ipp>
#include <cohort/detail/channel/frame_stream.ipp>
#include <cohort/detail/channel/frame_writer.ipp>
#include <cohort/detail/channel/greeting.ipp>
#include <cohort/detail/channel/message_stream.ipp>
#include <cohort/detail/channel/shared_memory_transport.ipp>
#include <cohort/detail/channel/transport.ipp>
#include <cohort/detail/exception_text.ipp>
#include <cohort/detail/log_line.ipp>
#include <cohort/detail/logs/captured_stream.ipp>
#include <cohort/detail/logs/crash_files.ipp>
#include <cohort/detail/logs/line_splitter.ipp>
#include <cohort/detail/logs/log_compressor.ipp>
#include <cohort/detail/logs/log_file.ipp>
#include <cohort/detail/logs/log_formatter.ipp>
#include <cohort/detail/logs/log_queue.ipp>
#include <cohort/detail/logs/log_service.ipp>
#include <cohort/detail/logs/log_writer.ipp>
#include <cohort/detail/logs/recent_lines.ipp>
#include <cohort/detail/logs/rotated_files.ipp>
#include <cohort/detail/logs/writer_process.ipp>
#include <cohort/detail/printable.ipp>
#include <cohort/detail/socket/activation.ipp>
#include <cohort/detail/socket/inherited_socket.ipp>
#include <cohort/detail/socket/listen_queue.ipp>
#include <cohort/detail/socket/listen_socket.ipp>
#include <cohort/detail/socket/private_folder.ipp>
#include <cohort/detail/socket/shared_address.ipp>
#include <cohort/detail/socket/socket_address.ipp>
#include <cohort/detail/socket/socket_file.ipp>
#include <cohort/detail/socket/transferred_listeners.ipp>
#include <cohort/detail/system/cgroup.ipp>
#include <cohort/detail/system/core_file.ipp>
#include <cohort/detail/system/cpu_quota.ipp>
#include <cohort/detail/system/debugger.ipp>
#include <cohort/detail/system/fd_passing.ipp>
#include <cohort/detail/system/fork.ipp>
#include <cohort/detail/system/forked_copy.ipp>
#include <cohort/detail/system/memfd.ipp>
#include <cohort/detail/system/notify_socket.ipp>
#include <cohort/detail/system/orphan_reaper.ipp>
#include <cohort/detail/system/own_link.ipp>
#include <cohort/detail/system/pid_file.ipp>
#include <cohort/detail/system/process_setup.ipp>
#include <cohort/detail/system/process_start.ipp>
#include <cohort/detail/system/process_status.ipp>
#include <cohort/detail/system/process_title.ipp>
#include <cohort/detail/system/rights.ipp>
#include <cohort/detail/system/signals.ipp>
#include <cohort/detail/system/slot_cgroup.ipp>
#include <cohort/detail/system/system.ipp>
#include <cohort/detail/system/terminal.ipp>
#include <cohort/detail/system/tool_chain.ipp>
#include <cohort/detail/system/unique_fd.ipp>
#include <cohort/endpoint.ipp>
#include <cohort/error.ipp>
#include <cohort/exit_status.ipp>
#include <cohort/line_log.ipp>
#include <cohort/server_socket.ipp>
#include <cohort/stats.ipp>
#include <cohort/transport.ipp>
#endif

// Unit 2: listening, and the worker
#if !defined(COHORT_SOURCE_UNIT) || COHORT_SOURCE_UNIT == 2
#include <cohort/datagram_socket.ipp>
#include <cohort/detail/control/connection_count.ipp>
#include <cohort/detail/control/control_link.ipp>
#include <cohort/detail/control/mapped_parts.ipp>
#include <cohort/detail/control/request_table.ipp>
#include <cohort/detail/control/shared_page.ipp>
#include <cohort/detail/listen/accept_loop.ipp>
#include <cohort/detail/listen/accepting_dispatcher.ipp>
#include <cohort/detail/listen/accepting_intake.ipp>
#include <cohort/detail/listen/datagram_ports.ipp>
#include <cohort/detail/listen/delivery.ipp>
#include <cohort/detail/listen/delivery_intake.ipp>
#include <cohort/detail/listen/distributor.ipp>
#include <cohort/detail/listen/exclusive_intake.ipp>
#include <cohort/detail/listen/slot_dispatcher.ipp>
#include <cohort/detail/worker/abort_report.ipp>
#include <cohort/detail/worker/datagram_client.ipp>
#include <cohort/detail/worker/heartbeat.ipp>
#include <cohort/detail/worker/identity.ipp>
#include <cohort/detail/worker/leadership_client.ipp>
#include <cohort/detail/worker/peer_client.ipp>
#include <cohort/detail/worker/pending_requests.ipp>
#include <cohort/detail/worker/worker_core.ipp>
#include <cohort/detail/worker/worker_main.ipp>
#include <cohort/detail/worker/worker_signals.ipp>
#include <cohort/detail/worker/worker_title.ipp>
#include <cohort/leadership.ipp>
#include <cohort/listener.ipp>
#include <cohort/mode.ipp>
#include <cohort/mode/scheduled.ipp>
#include <cohort/mode/shared_listener.ipp>
#include <cohort/mode/shared_socket.ipp>
#include <cohort/scheduler.ipp>
#include <cohort/worker_base.ipp>
#endif

// Unit 3: the master
#if !defined(COHORT_SOURCE_UNIT) || COHORT_SOURCE_UNIT == 3
#include <cohort/control.ipp>
#include <cohort/control/client.ipp>
#include <cohort/control/messages.ipp>
#include <cohort/detail/control_socket/control_socket.ipp>
#include <cohort/detail/control_socket/looking_actions.ipp>
#include <cohort/detail/control_socket/master_action.ipp>
#include <cohort/detail/control_socket/steering_actions.ipp>
#include <cohort/detail/policy/option_faults.ipp>
#include <cohort/detail/policy/settings.ipp>
#include <cohort/detail/process/control_reader.ipp>
#include <cohort/detail/process/control_service.ipp>
#include <cohort/detail/process/event_log.ipp>
#include <cohort/detail/process/launch.ipp>
#include <cohort/detail/process/mailbox.ipp>
#include <cohort/detail/process/slots.ipp>
#include <cohort/detail/process/worker_processes.ipp>
#include <cohort/detail/process/worker_record.ipp>
#include <cohort/detail/reload/change_turn.ipp>
#include <cohort/detail/reload/reloader.ipp>
#include <cohort/detail/reload/slot_replacer.ipp>
#include <cohort/detail/supervise/autoscale_loop.ipp>
#include <cohort/detail/supervise/call_pool.ipp>
#include <cohort/detail/supervise/cpu_time.ipp>
#include <cohort/detail/supervise/crash_reports.ipp>
#include <cohort/detail/supervise/health_monitor.ipp>
#include <cohort/detail/supervise/hooks.ipp>
#include <cohort/detail/supervise/ongoing_requests.ipp>
#include <cohort/detail/supervise/resident_memory.ipp>
#include <cohort/detail/supervise/respawn_queue.ipp>
#include <cohort/detail/supervise/service_notifier.ipp>
#include <cohort/detail/supervise/slot_manager.ipp>
#include <cohort/detail/supervise/stats_collector.ipp>
#include <cohort/detail/supervise/supervisor.ipp>
#include <cohort/detail/supervise/told_changes.ipp>
#include <cohort/detail/supervise/worker_counts.ipp>
#include <cohort/detail/supervise/worker_shutdown.ipp>
#include <cohort/detail/upgrade/listener_store.ipp>
#include <cohort/detail/upgrade/master_pid_file.ipp>
#include <cohort/detail/upgrade/master_upgrade.ipp>
#include <cohort/detail/upgrade/new_master.ipp>
#include <cohort/detail/upgrade/old_master.ipp>
#include <cohort/master_base.ipp>
#include <cohort/monitoring.ipp>
#include <cohort/monitoring/master.ipp>
#include <cohort/options.ipp>
#include <cohort/run.ipp>
#include <cohort/scope.ipp>
#endif

// Unit 4: HTTP
#if !defined(COHORT_SOURCE_UNIT) || COHORT_SOURCE_UNIT == 4
#include <cohort/http/access_log.ipp>
#include <cohort/http/body.ipp>
#include <cohort/http/cookie.ipp>
#include <cohort/http/detail/parse/field_rules.ipp>
#include <cohort/http/detail/parse/field_splitter.ipp>
#include <cohort/http/detail/parse/proxy_header.ipp>
#include <cohort/http/detail/respond/conditional.ipp>
#include <cohort/http/detail/respond/date.ipp>
#include <cohort/http/detail/respond/error_fields.ipp>
#include <cohort/http/detail/respond/folder_walk.ipp>
#include <cohort/http/detail/respond/open_file.ipp>
#include <cohort/http/detail/respond/response_head.ipp>
#include <cohort/http/detail/route/pattern.ipp>
#include <cohort/http/detail/route/route_table.ipp>
#include <cohort/http/detail/route/routes.ipp>
#include <cohort/http/detail/serve/body_reader.ipp>
#include <cohort/http/detail/serve/body_stream.ipp>
#include <cohort/http/detail/serve/connection.ipp>
#include <cohort/http/detail/serve/connection_stream.ipp>
#include <cohort/http/detail/serve/deadlines.ipp>
#include <cohort/http/detail/serve/peer.ipp>
#include <cohort/http/detail/serve/responder.ipp>
#include <cohort/http/detail/serve/serve_loop.ipp>
#include <cohort/http/detail/serve/server.ipp>
#include <cohort/http/detail/serve/upgraded_connection.ipp>
#include <cohort/http/event_stream.ipp>
#include <cohort/http/fields.ipp>
#include <cohort/http/file.ipp>
#include <cohort/http/form.ipp>
#include <cohort/http/parser.ipp>
#include <cohort/http/request.ipp>
#include <cohort/http/response.ipp>
#endif

// Unit 5: HTTP over TLS, which needs OpenSSL
#if defined(COHORT_SOURCE_UNIT) && COHORT_SOURCE_UNIT == 5
#include <asio/ssl/impl/src.hpp>
#include <cohort/http/tls.ipp>
#endif

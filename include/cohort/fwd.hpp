// SPDX-License-Identifier: MIT
// Forward declarations of the public types (layer 0).
#pragma once

namespace cohort {

// The cluster
class MasterBase;
class WorkerBase;
class Dispatcher;
class Intake;
class Listener;
class DatagramSocket;
class ServerSocket;
class Leadership;
class LineLog;
class Counter;
struct RoundRobin;
struct LeastConnections;
struct SharedSocket;
struct SharedListener;

// Plain data
struct CrashReport;
class Endpoint;
class ExitStatus;
struct Event;
struct Options;
struct ReloadReport;
struct RequestInfo;
struct Settings;
struct Stats;
struct Totals;
struct WorkerInfo;
struct WorkerOptions;

// Messages
class Blob;
class Handle;
class Socket;
struct SharedMemory;
struct UnixStream;
template <class Out, class In>
struct Duplex;
template <class Message, class Reply>
class Mail;
template <class T>
class Subscription;

namespace http {

class Body;
class BodyWriter;
class Fields;
class Request;
class Response;
class Upgraded;
struct Access;
struct ServerOptions;
template <class Context>
class Router;

} // namespace http

} // namespace cohort

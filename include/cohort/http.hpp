// SPDX-License-Identifier: MIT
// The HTTP part: requests, responses, the router and the server (layer 4).
#pragma once

// Requests and responses
#include <cohort/http/limits.hpp>
#include <cohort/http/message.hpp>
#include <cohort/http/parser.hpp>

// Routing
#include <cohort/http/middleware.hpp>
#include <cohort/http/router.hpp>

// Kinds of responses
#include <cohort/http/event_stream.hpp>
#include <cohort/http/file.hpp>

// The server
#include <cohort/http/access_log.hpp>
#include <cohort/http/options.hpp>
#include <cohort/http/serve.hpp>

// SPDX-License-Identifier: MIT
// The HTTP part: requests, responses, the router and the server (layer 4).
#pragma once

// Requests and responses
#include <cohort/http/limits.hpp>
#include <cohort/http/message.hpp>
#include <cohort/http/parser.hpp>

// Which handler answers what
#include <cohort/http/middleware.hpp>
#include <cohort/http/router.hpp>

// Answers of a kind
#include <cohort/http/event_stream.hpp>
#include <cohort/http/file.hpp>

// The server
#include <cohort/http/access_log.hpp>
#include <cohort/http/options.hpp>
#include <cohort/http/serve.hpp>

// SPDX-License-Identifier: MIT
// Requests and responses, with what they are made of (layer 1).
#pragma once

#include <cohort/http/body.hpp>
#include <cohort/http/cookie.hpp>
#include <cohort/http/fields.hpp>
#include <cohort/http/form.hpp>
#include <cohort/http/method.hpp>
#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/http/status.hpp>
#include <cohort/http/upgraded.hpp>

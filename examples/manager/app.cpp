// SPDX-License-Identifier: MIT
#include "app.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace manager {

namespace {

using Json = nlohmann::ordered_json;

bool is_name(const std::string& text) {
    const auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'; };
    return !text.empty() && text.size() <= 64 && text != "all" && text.front() != '-' && text.front() != '.' &&
           std::ranges::all_of(text, fits);
}

/// The members of a spec, each with its name in the state file.
template <class Spec, class Visit>
void for_each_member(Spec& spec, Visit visit) {
    visit("name", spec.name);
    visit("namespace", spec.group);
    visit("program", spec.program);
    visit("args", spec.args);
    visit("cwd", spec.cwd);
    visit("env", spec.env);
    visit("instances", spec.instances);
    visit("listen", spec.listen);
    visit("restart", spec.restart);
    visit("stop_signal", spec.stop_signal);
    visit("grace_ms", spec.grace_ms);
    visit("min_uptime_ms", spec.min_uptime_ms);
    visit("log_size", spec.log_size);
    visit("log_files", spec.log_files);
}

} // namespace

std::string fault_of(const AppSpec& spec) {
    const auto digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    if (!is_name(spec.name))
        return "'" + spec.name + "' is no name: letters, digits, '.', '_' and '-', 64 at most, and not 'all'";
    if (std::ranges::all_of(spec.name, digit)) return "'" + spec.name + "' is no name: it would be taken for an id";
    if (!is_name(spec.group)) return "'" + spec.group + "' is no namespace: it has the characters of a name";
    if (spec.program.empty()) return "no program is given";
    if (spec.instances == 0 || spec.instances > 1'000) return "instances: from 1 to 1000";
    if (spec.restart != "always" && spec.restart != "on-failure" && spec.restart != "never")
        return "restart: one of always, on-failure, never";
    if (spec.stop_signal < 1 || spec.stop_signal > 64) return "the stop signal is none";
    return "";
}

// State files come from this program, or its next version, so members that are missing have their defaults.

std::string to_json(const AppSpec& spec) {
    Json json;
    for_each_member(spec, [&json](const char* name, const auto& value) { json[name] = value; });
    // What is no UTF-8, as an argument may be, is kept otherwise than it was rather than not at all.
    return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

AppSpec spec_from_json(const std::string& text) {
    AppSpec spec;
    const Json json = Json::parse(text);
    for_each_member(spec, [&json](const char* name, auto& value) {
        if (const auto found = json.find(name); found != json.end()) found->get_to(value);
    });
    if (const std::string fault = fault_of(spec); !fault.empty()) throw std::runtime_error(fault);
    return spec;
}

} // namespace manager

// SPDX-License-Identifier: MIT
// The bodies of endpoint.hpp (layer 1).
#pragma once

#include <cohort/endpoint.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

#include <arpa/inet.h>
#include <net/if.h>

namespace cohort {

COHORT_DECL void Endpoint::fail(std::string_view text) {
    throw std::system_error(Errc::bad_endpoint, "'" + detail::printable(text) + "'");
}

/// The name of an interface, as the kernel lets it be (netdevice(7)), or its number.
COHORT_DECL bool Endpoint::is_zone(std::string_view zone) noexcept {
    const auto allowed = [](char c) { return c > ' ' && c <= '~' && c != '/' && c != ':' && c != '%' && c != ']'; };
    return !zone.empty() && zone.size() < IF_NAMESIZE && std::ranges::all_of(zone, allowed);
}

COHORT_DECL bool Endpoint::is_address(const std::string& host) {
    if (host.find('\0') != host.npos) return false;
    in6_addr address{};
    if (::inet_pton(AF_INET, host.c_str(), &address) == 1) return true;
    const auto percent = std::min(host.find('%'), host.size());
    if (::inet_pton(AF_INET6, host.substr(0, percent).c_str(), &address) != 1) return false;
    if (percent == host.size()) return true;
    const bool takes_zone =
        IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MC_LINKLOCAL(&address) || IN6_IS_ADDR_MC_NODELOCAL(&address);
    return takes_zone && is_zone(std::string_view(host).substr(percent + 1));
}

COHORT_DECL Endpoint Endpoint::tcp(std::string host, std::uint16_t port) {
    if (host == "localhost") host = "127.0.0.1";
    if (host == "*") host.clear();
    if (!host.empty() && !is_address(host)) fail(host);
    Endpoint endpoint(port);
    endpoint.host_ = std::move(host);
    return endpoint;
}

COHORT_DECL Endpoint Endpoint::unix_path(std::string path, unsigned mode) {
    if (path.empty() || path.find('\0') != std::string::npos) fail("unix:" + path);
    Endpoint endpoint;
    endpoint.path_ = std::move(path);
    endpoint.mode_ = mode & 0777U;
    return endpoint;
}

COHORT_DECL Endpoint Endpoint::inherited(int descriptor) {
    if (descriptor < 0) fail(std::string(inherited_prefix) + std::to_string(descriptor));
    Endpoint endpoint;
    endpoint.descriptor_ = descriptor;
    return endpoint;
}

/// What systemd lets such a name be: up to 255 printable ASCII characters but ':' (systemd.socket(5)).
COHORT_DECL bool Endpoint::is_activation_name(const std::string& name) noexcept {
    const auto allowed = [](char c) { return c >= ' ' && c <= '~' && c != ':'; };
    return !name.empty() && name.size() <= 255 && std::ranges::all_of(name, allowed);
}

COHORT_DECL Endpoint Endpoint::activated(std::string name) {
    if (!is_activation_name(name)) fail(std::string(activated_prefix) + name);
    Endpoint endpoint;
    endpoint.activation_name_ = std::move(name);
    return endpoint;
}

COHORT_DECL Endpoint Endpoint::only_v6() const {
    const bool is_v6 = host_.empty() || host_.find(':') != host_.npos;
    if (!is_tcp() || !is_v6) fail(to_string() + std::string(v6_only_suffix));
    Endpoint endpoint = *this;
    if (host_.empty()) endpoint.host_ = "::";
    endpoint.v6_only_ = true;
    return endpoint;
}

COHORT_DECL Endpoint Endpoint::parse_tcp(std::string_view text) {
    const auto colon = text.rfind(':');
    std::string_view host = colon == text.npos ? std::string_view{} : text.substr(0, colon);
    const std::string_view digits = colon == text.npos ? text : text.substr(colon + 1);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (bracketed != (host.find(':') != host.npos)) fail(text);

    unsigned port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size() || port > 65535) fail(text);
    return tcp(std::string(host), static_cast<std::uint16_t>(port));
}

COHORT_DECL Endpoint Endpoint::parse_inherited(std::string_view digits) {
    int descriptor = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), descriptor);
    if (error != std::errc{} || end != digits.data() + digits.size())
        fail(std::string(inherited_prefix) + std::string(digits));
    return inherited(descriptor);
}

COHORT_DECL Endpoint::Endpoint(std::string_view text) {
    if (text.starts_with(unix_prefix))
        *this = unix_path(std::string(text.substr(unix_prefix.size())));
    else if (text.starts_with(inherited_prefix))
        *this = parse_inherited(text.substr(inherited_prefix.size()));
    else if (text.starts_with(activated_prefix))
        *this = activated(std::string(text.substr(activated_prefix.size())));
    else if (text.ends_with(v6_only_suffix))
        *this = parse_tcp(text.substr(0, text.size() - v6_only_suffix.size())).only_v6();
    else
        *this = parse_tcp(text);
}

COHORT_DECL std::string Endpoint::to_string() const {
    if (is_unix()) return std::string(unix_prefix) + detail::printable(path_);
    if (is_inherited()) return std::string(inherited_prefix) + std::to_string(descriptor_);
    if (is_activated()) return std::string(activated_prefix) + detail::printable(activation_name_);
    const std::string digits = std::to_string(port_);
    if (host_.empty()) return "*:" + digits;
    const std::string host = detail::printable(host_);
    const std::string address = host.find(':') == host.npos ? host + ":" + digits : "[" + host + "]:" + digits;
    return v6_only_ ? address + std::string(v6_only_suffix) : address;
}

} // namespace cohort

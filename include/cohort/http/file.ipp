// SPDX-License-Identifier: MIT
// The bodies of file.hpp (layer 3).
#pragma once

#include <cohort/http/file.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/detail/respond/conditional.hpp>
#include <cohort/http/detail/respond/date.hpp>
#include <cohort/http/detail/respond/media_types.hpp>
#include <cohort/http/detail/respond/open_file.hpp>
#include <cohort/http/detail/respond/response_head.hpp>
#include <cohort/http/status.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace cohort::http::detail {

/// Ends the handler with what a failure to open a file means to the client.
[[noreturn]] COHORT_DECL void refuse_file(const std::error_code& error) {
    switch (error.value()) {
        case ENOENT:
        case ENOTDIR:
        case ENAMETOOLONG:
        case ELOOP:
        case EXDEV: // it would lead out of the folder
        case ENXIO: // a socket, or a device
        case ENODEV: throw Error(404);
        case EACCES: throw Error(403);
        case EAGAIN:
        case EMFILE:
        case ENFILE:
        case ENOMEM: throw Error(503, "cannot open a file: " + error.message());
        default: throw std::system_error(error, "cannot open a file");
    }
}

/// Size and time, as other servers take them: with the inode, which tells a file from its copy, the same file would be
/// another one on each host and after each deployment, and clients would load it again.
COHORT_DECL Validators validators_of(const OpenFile& file, std::time_t now) {
    const timespec modified = file.modified();
    Validators validators;
    append_number(validators.etag = '"', file.size(), 16);
    const auto nanoseconds =
        static_cast<std::uint64_t>(modified.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(modified.tv_nsec);
    append_number(validators.etag += '-', nanoseconds, 16);
    validators.etag += '"';
    validators.modified = std::min<std::time_t>(modified.tv_sec, now);
    return validators;
}

COHORT_LAZY COHORT_DECL Task<> send_file(BodyWriter& out, std::shared_ptr<const OpenFile> file, std::uint64_t begin,
                                         std::uint64_t count) {
    constexpr std::uint64_t piece = 64 * 1024;
    std::vector<char> bytes(static_cast<std::size_t>(std::min(piece, count)));
    while (count != 0) {
        std::error_code error;
        const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), count));
        const std::size_t got = file->read_at(begin, bytes.data(), wanted, error);
        if (error) throw std::runtime_error("cannot read a file that is being sent: " + error.message());
        if (got == 0) throw std::runtime_error("a file shrank while it was sent");
        const std::string_view chunk(bytes.data(), got);
        co_await out.write(chunk);
        begin += got;
        count -= got;
    }
}

/// Streams the range: nothing of it is read yet.
COHORT_DECL void put_content(Response& response, std::shared_ptr<const OpenFile> file, const Range& range) {
    if (range.kind == Range::Kind::part) {
        const std::string last = std::to_string(range.begin + range.count - 1);
        response.status(206).add("Content-Range", "bytes " + std::to_string(range.begin) + "-" + last + "/" +
                                                      std::to_string(file->size()));
    }
    if (range.count == 0) return;
    response.stream([file = std::move(file), begin = range.begin,
                     count = range.count](BodyWriter& out) { return send_file(out, file, begin, count); },
                    range.count);
}

COHORT_DECL Range range_for(const Request& request, const Validators& validators, std::uint64_t size, std::time_t now) {
    const auto wanted = request.header("range");
    if (!wanted || request.method() != Method::get || !check_if_range(request.fields(), validators, now))
        return {Range::Kind::whole, 0, size};
    return parse_range(*wanted, size);
}

[[noreturn]] COHORT_DECL void refuse_range(std::uint64_t size) {
    throw Error(416).with("Content-Range", "bytes */" + std::to_string(size));
}

COHORT_DECL Response answer_with(const Request& request, OpenFile opened, std::string_view path,
                                 const FileOptions& options) {
    const std::time_t now = std::time(nullptr);
    const Validators validators = validators_of(opened, now);
    const int decided = check_conditions(request.fields(), validators, now);
    if (decided == 412) throw Error(412);
    const Range range = range_for(request, validators, opened.size(), now);
    if (decided == 0 && range.kind == Range::Kind::unsatisfiable) refuse_range(opened.size());

    Response response(decided == 304 ? 304 : 200);
    std::string modified;
    append_date(modified, validators.modified);
    response.add("ETag", validators.etag).add("Last-Modified", modified).add("Accept-Ranges", "bytes");
    if (!options.cache_control.empty()) response.add("Cache-Control", options.cache_control);
    if (decided == 304) return response;
    response.default_type(media_type_of(path)).add("X-Content-Type-Options", "nosniff");
    put_content(response, cohort::detail::share<const OpenFile>(std::move(opened)), range);
    return response;
}

/// Decodes one segment of an untrusted path; 404 if it cannot be a file's name.
COHORT_DECL std::string checked_segment(std::string_view segment, const FileOptions& options) {
    std::string name = decode(segment, false);
    const bool leads_elsewhere = name.empty() || name == "." || name == "..";
    const bool is_hidden = name.starts_with('.') && !options.dot_files;
    // Some browsers take a backslash for a slash when they are redirected to this path.
    const bool is_several = name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos;
    if (leads_elsewhere || is_hidden || is_several) throw Error(404);
    return name;
}

} // namespace cohort::http::detail

namespace cohort::http {

struct Files::Place {
    detail::OpenFile folder;
    FileOptions options;
};

COHORT_DECL Response file(const Request& request, const std::string& path, const FileOptions& options) {
    std::error_code error;
    detail::OpenFile opened = detail::OpenFile::open(path, false, error);
    if (error) detail::refuse_file(error);
    if (!opened.is_file()) throw Error(404);
    return detail::answer_with(request, std::move(opened), path, options);
}

COHORT_DECL Files::Files(const std::string& folder, FileOptions options) {
    std::error_code error;
    detail::OpenFile opened = detail::OpenFile::open(folder, true, error);
    if (error) throw std::system_error(error, "http::Files: " + folder);
    place_ = cohort::detail::share<const Place>(Place{std::move(opened), std::move(options)});
}

/// The file's path relative to the folder; that of the index when the request path ends with a slash.
COHORT_DECL std::string Files::find(const Request& request, const FileOptions& options) {
    if (request.path().find("//") != std::string_view::npos) throw Error(404);
    std::string path;
    for (std::string_view rest = request.rest(); !rest.empty();) {
        if (!path.empty()) path += '/';
        path += detail::checked_segment(detail::take_until(rest, '/'), options);
    }
    if (!request.path().ends_with('/')) return path.empty() ? "." : path;
    return path.empty() ? options.index : path + "/" + options.index;
}

COHORT_DECL Task<Response> Files::operator()(const Request& request) const { return answer(place_, request); }

COHORT_LAZY COHORT_DECL Task<Response> Files::answer(std::shared_ptr<const Place> place, const Request& request) {
    if (request.method() != Method::get && request.method() != Method::head)
        throw Error(405).with("Allow", "GET, HEAD");
    const std::string path = find(request, place->options);
    std::error_code error;
    detail::OpenFile opened = place->folder.open_beneath(path, error);
    if (error) detail::refuse_file(error);
    if (opened.is_folder() && !request.path().ends_with('/')) {
        std::string location = std::string{request.path()} + "/";
        if (!request.query().empty()) location.append("?").append(request.query());
        co_return redirect(location, 301);
    }
    if (!opened.is_file()) throw Error(404);
    co_return detail::answer_with(request, std::move(opened), path, place->options);
}

} // namespace cohort::http

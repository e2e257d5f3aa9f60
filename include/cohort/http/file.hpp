// SPDX-License-Identifier: MIT
// Files as answers: conditional, in parts, and none outside of their folder (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/task.hpp>

#include <memory>
#include <string>

namespace cohort::http {

struct FileOptions {
    std::string cache_control{};      ///< the field to send, as in "max-age=3600"; "": none
    std::string index = "index.html"; ///< what Files answers for a folder
    bool dot_files = false;           ///< whether Files serves names that begin with a dot
};

/// The file at `path`, which the program chooses: with its type by the end of the name, ETag, Last-Modified, 304 for
/// what the client has already, and the part that it asks for (RFC 9110 sections 13 and 14; one range). Throws
/// http::Error: 404 when there is no such file, 403, 412, 416, 503 when no more can be opened; std::system_error.
///
/// The file is read while it is sent, 64 KiB at a time, on the thread of the connection. When it shrinks meanwhile the
/// connection is cut, so that the client notices.
Response file(const Request& request, const std::string& path, const FileOptions& options = {});

/// A handler that serves the files of a folder as file() does; GET and HEAD. The file's path is what the route's
/// pattern captured last, or the whole request path without a pattern:
///
///     router.get("/static/*path", http::Files("public", {.cache_control = "max-age=3600"}));
///
/// A folder is answered with its index. Nothing outside of the folder is ever opened, whatever the path or symbolic
/// links in it say, and only regular files are served. A link may be absolute if it names something in the folder. The
/// folder is opened once, so it may be renamed later.
class Files {
public:
    /// Throws std::system_error when the folder cannot be opened.
    explicit Files(const std::string& folder, FileOptions options = {});

    Task<Response> operator()(const Request& request) const;

private:
    struct Place;
    COHORT_LAZY static Task<Response> answer(std::shared_ptr<const Place> place, const Request& request);
    static std::string find(const Request& request, const FileOptions& options);

    std::shared_ptr<const Place> place_;
};

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/file.ipp>
#endif

// SPDX-License-Identifier: MIT
// Opens what lies beneath a folder name by name, where openat2(2) does not (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

namespace cohort::http::detail {

/// As openat2(2) with RESOLVE_BENEATH, but an absolute link is followed, too, when it names something in the folder.
/// Every step is taken from a descriptor and follows no link (O_NOFOLLOW), and ".." goes back to one that is held: what
/// is renamed or replaced meanwhile leads to an error, never out of the folder.
class FolderWalk {
public:
    /// The folder, open, and what fstat(2) says of it.
    FolderWalk(int folder, const struct stat& facts) : folder_(folder), facts_(facts) {}

    /// A descriptor to read from; -1 with errno: EXDEV where it would lead out, ELOOP for too many links.
    int open(std::string_view path);

private:
    static constexpr int most_links = 40; // as in the kernel

    int top() const noexcept { return way_.empty() ? folder_ : way_.back().get(); }
    int open_last(const std::string& name) const noexcept;
    bool follow(int link);
    std::optional<std::string> beneath(const std::string& target) const;
    void push(std::string_view path);

    int folder_;
    const struct stat& facts_;
    std::vector<cohort::detail::UniqueFd> way_; ///< the folders passed, without the first one
    std::vector<std::string> ahead_;            ///< the names still to go, the next one last
    int links_ = 0;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/respond/folder_walk.ipp>
#endif

// SPDX-License-Identifier: MIT
// The bodies of blob.hpp (layer 2).
#pragma once

#include <cohort/blob.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

#include <algorithm>
#include <cstdint>

namespace cohort {

COHORT_DECL Blob Blob::copy_of(std::span<const std::byte> bytes) {
    if (bytes.size() >= shared_from) return share(bytes.size(), [&](int fd) { detail::write_all(fd, bytes); });
    auto own = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
    std::ranges::copy(bytes, own.get());
    return keep(std::move(own), bytes.size());
}

COHORT_DECL Blob::Blob(Content content) : content_(detail::share<const Content>(std::move(content))) {}

COHORT_DECL Blob Blob::keep(std::unique_ptr<std::byte[]> own, std::size_t size) {
    if (size == 0) return {};
    const std::span<const std::byte> bytes(own.get(), size);
    return Blob(Content{bytes, std::move(own), {}, {}});
}

COHORT_DECL Blob Blob::adopt(detail::UniqueFd fd, std::size_t size) {
    auto mapping = detail::Mapping::map(fd.get(), size, false);
    const std::span<const std::byte> bytes = mapping.bytes();
    return Blob(Content{bytes, {}, std::move(mapping), std::move(fd)});
}

COHORT_DECL void Blob::write_to(detail::Encoder& archive) const {
    const bool shared = content_ && content_->fd;
    archive(shared);
    if (shared) {
        archive(static_cast<std::uint64_t>(size()));
        archive.pass_descriptor(content_->fd.get());
        return;
    }
    archive.put_length<1>(size());
    std::ranges::copy(bytes(), archive.take(size()));
}

COHORT_DECL void Blob::read_from(detail::Decoder& archive) {
    bool shared = false;
    if (!archive(shared)) return;
    if (shared) return read_shared_from(archive);
    std::size_t size = 0;
    if (!archive.get_length<1, 1>(size)) return;
    auto own = std::make_unique_for_overwrite<std::byte[]>(size);
    std::copy_n(archive.take(size), size, own.get());
    *this = keep(std::move(own), size);
}

COHORT_DECL void Blob::read_shared_from(detail::Decoder& archive) {
    std::uint64_t size = 0;
    if (!archive(size)) return;
    detail::UniqueFd fd(archive.take_descriptor());
    if (!fd) return;
    const bool sound = size != 0 && size <= max_size && detail::has_seals(fd.get(), seals) &&
                       detail::keeps_size(fd.get(), static_cast<std::size_t>(size));
    if (!sound) {
        archive.reject();
        return;
    }
    *this = adopt(std::move(fd), static_cast<std::size_t>(size));
}

} // namespace cohort

// SPDX-License-Identifier: MIT
// Blob: many bytes as a member of a message, shared instead of copied (layer 2).
#pragma once

#include <cohort/detail/system/memfd.hpp>
#include <cohort/serialize.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <fcntl.h>

namespace cohort {

/// A run of bytes that nobody can change any more. Copies share the bytes, and so do processes: below `shared_from` the
/// bytes travel inside the message; from there on they lie in sealed memory (memfd_create(2)), the message carries a
/// descriptor, and the receiver maps the same pages. Neither side copies, and the limits of a message do not apply.
///
/// Sharing pays when the same Blob is sent more than once or lives long: each sending costs the same few microseconds
/// whatever the size. Memory that is filled, sent once and thrown away costs more than a copy through the socket.
///
///     struct Image { std::string name; Blob pixels; };
///     Image image{"sky", Blob::make(size, [&](std::span<std::byte> out) { render(out); })};
///     co_await self.send(image);
///
/// As with every descriptor of cohort, the last copy of a shared Blob goes on the thread of the event loop, and a
/// worker cannot send one that it has inherited by fork.
class Blob {
public:
    /// From this size on, sending an existing descriptor and mapping it is cheaper than sending the bytes.
    static constexpr std::size_t shared_from = std::size_t{256} << 10;
    /// A message that claims more is refused.
    static constexpr std::size_t max_size = std::size_t{1} << (sizeof(std::size_t) > 4 ? 32 : 30);

    Blob() = default;

    /// Errors: Errc::message_too_large above `max_size`; EMFILE, ENOMEM.
    static Blob copy_of(std::span<const std::byte> bytes) {
        if (bytes.size() >= shared_from) return share(bytes.size(), [&](int fd) { detail::write_all(fd, bytes); });
        auto own = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
        std::ranges::copy(bytes, own.get());
        return keep(std::move(own), bytes.size());
    }
    static Blob copy_of(std::string_view text) { return copy_of(std::as_bytes(std::span(text))); }

    /// `fill` writes the bytes where they will stay; before it does they are zero. Errors: those of copy_of(), ENOSPC,
    /// and what `fill` throws.
    template <std::invocable<std::span<std::byte>> Fill>
    static Blob make(std::size_t size, Fill&& fill) {
        if (size >= shared_from) {
            return share(size, [&](int fd) {
                detail::reserve(fd, size); // otherwise a page that cannot be had is a SIGBUS within `fill`
                fill(detail::Mapping::map(fd, size, true).bytes());
            });
        }
        auto own = std::make_unique<std::byte[]>(size);
        fill(std::span(own.get(), size));
        return keep(std::move(own), size);
    }

    std::span<const std::byte> bytes() const noexcept { return content_ ? content_->bytes : std::span<std::byte>(); }
    std::string_view text() const noexcept { return {reinterpret_cast<const char*>(bytes().data()), size()}; }
    std::size_t size() const noexcept { return bytes().size(); }
    bool empty() const noexcept { return bytes().empty(); }
    /// A copy to write to.
    std::vector<std::byte> to_vector() const { return {bytes().begin(), bytes().end()}; }

    static void serialize(auto& archive, auto& self) {
        if constexpr (std::remove_reference_t<decltype(archive)>::decoding)
            self.read_from(archive);
        else
            self.write_to(archive);
    }

private:
    static constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

    /// What the copies own together: memory with a descriptor, or some of this process alone.
    struct Content {
        std::span<const std::byte> bytes;
        std::unique_ptr<std::byte[]> own;
        detail::Mapping mapping;
        detail::UniqueFd fd;
    };

    explicit Blob(Content content) : content_(std::make_shared<const Content>(std::move(content))) {}

    static Blob keep(std::unique_ptr<std::byte[]> own, std::size_t size) {
        if (size == 0) return {};
        const std::span<const std::byte> bytes(own.get(), size);
        return Blob(Content{bytes, std::move(own), {}, {}});
    }
    static Blob share(std::size_t size, std::invocable<int> auto&& fill);
    /// Takes sealed memory over.
    static Blob adopt(detail::UniqueFd fd, std::size_t size) {
        auto mapping = detail::Mapping::map(fd.get(), size, false);
        const std::span<const std::byte> bytes = mapping.bytes();
        return Blob(Content{bytes, {}, std::move(mapping), std::move(fd)});
    }

    void write_to(detail::Encoder& archive) const;
    void read_from(detail::Decoder& archive);
    void read_shared_from(detail::Decoder& archive);

    std::shared_ptr<const Content> content_; // none: empty
};

Blob Blob::share(std::size_t size, std::invocable<int> auto&& fill) {
    if (size > max_size) throw std::system_error(make_error_code(Errc::message_too_large), "cohort::Blob");
    detail::UniqueFd fd = detail::make_memfd("cohort-blob", size);
    fill(fd.get());
    detail::seal(fd.get(), seals);
    return adopt(std::move(fd), size);
}

inline void Blob::write_to(detail::Encoder& archive) const {
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

inline void Blob::read_from(detail::Decoder& archive) {
    bool shared = false;
    if (!archive(shared)) return;
    if (shared) return read_shared_from(archive);
    std::size_t size = 0;
    if (!archive.get_length<1, 1>(size)) return;
    auto own = std::make_unique_for_overwrite<std::byte[]>(size);
    std::copy_n(archive.take(size), size, own.get());
    *this = keep(std::move(own), size);
}

inline void Blob::read_shared_from(detail::Decoder& archive) {
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

// SPDX-License-Identifier: MIT
// Blob: many bytes as a member of a message, shared instead of copied (layer 2).
#pragma once

#include <cohort/detail/serialize/archive.hpp>
#include <cohort/detail/system/memfd.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <fcntl.h>

namespace cohort {

/// An immutable byte sequence; copies share the bytes. A message carries fewer than `shared_from` bytes inline; from
/// there on they lie in sealed memory (memfd_create(2)), the message carries its descriptor and the receiver maps the
/// same pages. Neither side copies, and the limits of a message do not apply.
///
/// Sharing pays when the same Blob is sent more than once or lives long: each sending costs the same few microseconds
/// whatever the size. Memory that is filled, sent once and thrown away costs more than a copy through the socket.
///
///     struct Image { std::string name; Blob pixels; };
///     Image image{"sky", Blob::make(size, [&](std::span<std::byte> out) { render(out); })};
///     co_await self.send(image);
///
/// As with every descriptor of cohort, the last copy of a shared Blob must be destroyed on the thread of the event
/// loop, and a worker cannot send one that it has inherited by fork.
class Blob {
public:
    /// From this size on, sending an existing descriptor and mapping it is cheaper than sending the bytes.
    static constexpr std::size_t shared_from = std::size_t{256} << 10;
    /// A message that claims more is refused.
    static constexpr std::size_t max_size = std::size_t{1} << (sizeof(std::size_t) > 4 ? 32 : 30);

    Blob() = default;

    /// Errors: Errc::message_too_large above `max_size`; EMFILE, ENOMEM.
    static Blob copy_of(std::span<const std::byte> bytes);
    static Blob copy_of(std::string_view text) { return copy_of(std::as_bytes(std::span(text))); }

    /// `fill` writes the bytes where they will stay; before it does they are zero. Errors: those of copy_of(), ENOSPC,
    /// and what `fill` throws.
    template <std::invocable<std::span<std::byte>> Fill>
    static Blob make(std::size_t size, Fill&& fill) {
        if (size >= shared_from) {
            return share(size, [&](int fd) {
                detail::reserve(fd, size); // otherwise a page that cannot be allocated raises SIGBUS in `fill`
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

    /// What the copies share: mapped memory with its descriptor, or private memory of this process.
    struct Content {
        std::span<const std::byte> bytes;
        std::unique_ptr<std::byte[]> own;
        detail::Mapping mapping;
        detail::UniqueFd fd;
    };

    explicit Blob(Content content);

    static Blob keep(std::unique_ptr<std::byte[]> own, std::size_t size);
    static Blob share(std::size_t size, std::invocable<int> auto&& fill);
    /// Takes sealed memory over.
    static Blob adopt(detail::UniqueFd fd, std::size_t size);

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

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/blob.ipp>
#endif

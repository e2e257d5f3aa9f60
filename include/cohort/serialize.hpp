// SPDX-License-Identifier: MIT
// Values to bytes and back: what can be a message, and how it is encoded (layer 1).
#pragma once

#include <cohort/detail/serialize/archive.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/detail/serialize/codec.hpp>
#include <cohort/detail/serialize/container_codec.hpp>
#include <cohort/detail/serialize/message_fault.hpp>
#include <cohort/detail/serialize/schema.hpp>
#include <cohort/error.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <vector>

namespace cohort {

/// A type whose values can be sent to another process. These need no code from their author:
///
/// - arithmetic types, std::byte, enumerations (any value of the underlying type is accepted, named or not, so fix that
///   type, `enum E : int` or `enum class E`, if bytes may come from anywhere);
/// - std::string and the other basic_strings, vector, deque, list, array, bitset, arrays within a struct;
/// - set, map, their multi and unordered forms;
/// - optional, variant, tuple, pair, unique_ptr, chrono durations and time points, filesystem::path;
/// - any aggregate of such (a struct with public members, no constructor, no base class) of at most 32 members, also
///   one that contains itself by way of a container or a unique_ptr.
///
/// Any other class lists its members in one function, for both directions. It may be a static member, which reaches
/// private members, or a free function in the namespace of the class:
///
///     class Account {
///     public:
///         static void serialize(auto& archive, auto& self) { archive(self.owner_, self.balance_); }
///     private:
///         std::string owner_;
///         long balance_ = 0;
///     };
///
/// `self` is const when encoding. The archive has `static constexpr bool decoding`; `archive(...)` returns false when
/// the bytes are wrong; call `archive.reject()` for values that make no sense. A derived class inherits the function,
/// and needs its own if it adds members.
///
/// Using any other type is a compile error that says what is wrong with it.
template <class T>
concept Serializable = detail::FaultOf<T>::fault == detail::Fault::none;

/// Appends the encoding of `value` to `out`.
///
/// The encoding: integers and floating-point numbers little-endian in their own width, enumerations as their underlying
/// type, bool as a byte 0 or 1; strings and containers as a 32-bit count and the elements; optional and unique_ptr as a
/// byte 0 or 1 and the value if any; variant as a byte for the index and the alternative; aggregates, tuples and arrays
/// as their members one after another, without padding. It bears no types: see schema_hash().
///
/// \throws std::system_error with Errc::message_too_large or Errc::nested_too_deep when decode() with the same limits
///         would refuse it, Errc::bad_message for a valueless variant, Errc::no_descriptors for a Handle when there is
///         no list of `descriptors` to put it in; std::bad_alloc. `out` then holds what it held.
template <class T>
void encode(const T& value, detail::Buffer& out, const SerializeLimits& limits = {},
            std::vector<int>* descriptors = nullptr) {
    if constexpr (detail::require_message<T>()) {
        detail::Encoder encoder{out, limits, descriptors};
        detail::encode_value(encoder, value);
        encoder.finish();
    }
}

/// Replaces `value` by what `bytes` encode, all of them. Whatever the bytes are, the outcome is a value or an error:
/// Errc::bad_message, Errc::message_too_large or Errc::nested_too_deep. After an error `value` is valid but may be
/// partly replaced. No more memory than `limits` allow is taken, and no count is believed before it is checked.
///
/// Values that encode() does not write are errors: a bool other than 0 and 1, a key twice in a set or map, keys out of
/// order in an ordered one, bytes or descriptors left over. A descriptor that a Handle has taken is -1 in the list.
///
/// \throws std::bad_alloc, and what a serialize function throws.
template <class T>
[[nodiscard]] std::error_code decode(std::span<const std::byte> bytes, T& value, const SerializeLimits& limits = {},
                                     std::span<int> descriptors = {}) {
    if constexpr (detail::require_message<T>()) {
        detail::Decoder decoder{bytes, limits, descriptors};
        if (!decoder.failed()) detail::decode_value(decoder, value);
        return decoder.finish();
    } else {
        return {};
    }
}

/// A number for the structure of `T`: equal for types of the same shape whatever their names, different as soon as a
/// member is added, removed, moved or has another type. Names of members and enumerators have no part in it. A class
/// with a serialize function is known by its name alone, so a new name is how it shows that its encoding changed.
template <class T>
constexpr std::uint64_t schema_hash() {
    if constexpr (detail::require_message<T>()) {
        detail::SchemaHash hash;
        detail::mix_schema<T>(hash);
        return hash.value();
    } else {
        return 0;
    }
}

namespace detail {

/// Whether descriptors may travel with a `T`.
template <class T>
constexpr bool may_bear_descriptors() {
    SchemaHash hash;
    mix_schema<T>(hash);
    return hash.has_custom_parts();
}

} // namespace detail

} // namespace cohort

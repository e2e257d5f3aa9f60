// SPDX-License-Identifier: MIT
// Values with their descriptors: encoded to be sent, and decoded from a received frame (layer 3).
#pragma once

#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/channel/passed.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/serialize.hpp>

#include <span>
#include <system_error>
#include <vector>

namespace cohort::detail {

/// A message in the form in which it travels, to be sent later, or more than once.
class EncodedMessage {
public:
    template <class T>
    EncodedMessage(const T& message, const SerializeLimits& limits) {
        std::vector<int> numbers;
        encode(message, bytes_, limits, &numbers);
        for (const int fd : numbers) descriptors_.push_back(duplicate(fd));
    }
    /// The `fill` of FrameStream::push.
    void operator()(Buffer& out, std::vector<int>& descriptors) const;

private:
    Buffer bytes_;
    std::vector<UniqueFd> descriptors_;
};

/// Descriptors between their arrival and the value that takes them; those it leaves are closed.
class LoanedDescriptors {
public:
    explicit LoanedDescriptors(Passed& passed);
    LoanedDescriptors(const LoanedDescriptors&) = delete;
    LoanedDescriptors& operator=(const LoanedDescriptors&) = delete;
    ~LoanedDescriptors() {
        for (const int fd : numbers_) UniqueFd(fd).reset();
    }
    std::span<int> numbers() noexcept { return numbers_; }

private:
    std::vector<int> numbers_;
};

/// Decodes the payload and the descriptors of a frame. Errc::descriptors_lost: some did not fit in this process.
template <class T>
std::error_code decode_frame(const Frame& frame, Passed* passed, T& value, const SerializeLimits& limits) {
    if (frame.header.descriptors == 0) return decode(frame.payload, value, limits);
    if (passed->lost) return make_error_code(Errc::descriptors_lost);
    LoanedDescriptors descriptors(*passed);
    return decode(frame.payload, value, limits, descriptors.numbers());
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/encoded_message.ipp>
#endif

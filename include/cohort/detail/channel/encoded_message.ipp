// SPDX-License-Identifier: MIT
// The bodies of encoded_message.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/encoded_message.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL void EncodedMessage::operator()(Buffer& out, std::vector<int>& descriptors) const {
    out.append(bytes_.data(), bytes_.size());
    for (const auto& fd : descriptors_) descriptors.push_back(fd.get());
}

COHORT_DECL LoanedDescriptors::LoanedDescriptors(Passed& passed) {
    numbers_.reserve(passed.descriptors.size());
    for (auto& fd : passed.descriptors) numbers_.push_back(fd.release());
    passed.descriptors.clear();
}

} // namespace cohort::detail

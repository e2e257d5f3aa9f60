// SPDX-License-Identifier: MIT
// A message type for each direction (layer 1).
#pragma once

namespace cohort {

/// Names two message types in place of one: `Master<Duplex<ToWorker, ToMaster>, Mode>`. What the master sends is a
/// `ToWorker`, what workers send a `ToMaster`. It is a tag, never an object.
template <class ToWorker, class ToMaster>
struct Duplex;

namespace detail {

template <class Message>
struct DuplexTraits {
    using ToWorker = Message;
    using ToMaster = Message;
};

template <class W, class M>
struct DuplexTraits<Duplex<W, M>> {
    using ToWorker = W;
    using ToMaster = M;
};

/// What the master sends to a worker: `Message` itself unless it is a Duplex.
template <class Message>
using ToWorkerOf = typename DuplexTraits<Message>::ToWorker;

/// What a worker sends to the master.
template <class Message>
using ToMasterOf = typename DuplexTraits<Message>::ToMaster;

} // namespace detail

} // namespace cohort

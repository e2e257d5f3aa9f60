// SPDX-License-Identifier: MIT
// A message with more members than can be taken apart.
// expect-first: cohort: this type cannot be a message: an aggregate may have at most 32 members
// expect: (Culprit = |Fault::members, )Hit
#include <cohort/serialize.hpp>

struct Hit {
    int m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16, m17;
    int m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31, m32, m33;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

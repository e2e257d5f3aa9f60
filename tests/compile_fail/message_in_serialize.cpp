// SPDX-License-Identifier: MIT
// A serialize function that names a member which cannot be sent.
// expect-first: cohort: this type cannot be a message: it holds a raw pointer
// expect: (Culprit = |Fault::pointer, )int ?\*
#include <cohort/serialize.hpp>

class Hit {
public:
    static void serialize(auto& archive, auto& self) { archive(self.number_); }

private:
    int* number_ = nullptr;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }
